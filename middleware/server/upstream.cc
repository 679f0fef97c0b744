#include "middleware/server/upstream.h"

#include <sys/socket.h>

#include <boost/asio/ip/tcp.hpp>
#include <cerrno>
#include <utility>

namespace zerocloud::server {
namespace {

using Tcp = net::ip::tcp;
using boost::system::error_code;

// Nothing to read and not closed: what an idle HTTP connection must be.
bool IsQuiet(int socket) {
  char byte = 0;
  return ::recv(socket, &byte, 1, MSG_PEEK | MSG_DONTWAIT) < 0 && errno == EAGAIN;
}

}  // namespace

std::string Upstream::authority() const {
  const bool is_v6 = options_.host.find(':') != std::string::npos;
  return (is_v6 ? "[" + options_.host + "]" : options_.host) + ":" + std::to_string(options_.port);
}

std::unique_ptr<Stream> Upstream::Reuse(Strand strand) {
  const auto oldest = std::chrono::steady_clock::now() - options_.idle_timeout;
  for (;;) {
    UniqueFd socket;
    {
      const std::lock_guard lock(mutex_);
      if (idle_.empty()) return nullptr;
      const bool is_stale = idle_.back().since < oldest;
      if (is_stale) {
        idle_.clear();  // the others are older still
        return nullptr;
      }
      socket = std::move(idle_.back().socket);
      idle_.pop_back();
    }
    if (!IsQuiet(socket.get())) continue;
    auto stream = std::make_unique<Stream>(strand);
    error_code ec;
    ec = stream->socket().assign(net::generic::stream_protocol(Tcp::v4()), socket.get(), ec);
    if (ec) continue;
    [[maybe_unused]] const int now_the_streams = socket.Release();
    return stream;
  }
}

net::awaitable<Upstream::Connected> Upstream::Connect(Strand strand) {
  Connected result;
  const std::string port = std::to_string(options_.port);
  net::ip::basic_resolver<Tcp, Strand> resolver(strand);
  // getaddrinfo has its own timeouts; a numeric host is answered without asking anybody.
  const auto [resolve_error, endpoints] =
      co_await resolver.async_resolve(options_.host, port, kAwait);
  result.error = resolve_error;
  if (resolve_error) co_return result;
  for (const auto& entry : endpoints) {
    auto stream = std::make_unique<Stream>(strand);
    stream->expires_after(options_.connect_timeout);
    const net::generic::stream_protocol::endpoint endpoint(entry.endpoint());
    const auto [ec] = co_await stream->async_connect(endpoint, kAwait);
    result.error = ec == beast::error::timeout ? net::error::timed_out : ec;
    if (ec) continue;
    error_code ignored;
    ignored = stream->socket().set_option(Tcp::no_delay(true), ignored);
    result.stream = std::move(stream);
    co_return result;
  }
  co_return result;
}

void Upstream::Keep(std::unique_ptr<Stream> stream) {
  error_code ec;
  Socket socket = stream->release_socket();
  UniqueFd fd(socket.release(ec));
  if (ec || !fd.is_open()) return;
  const std::lock_guard lock(mutex_);
  if (idle_.size() >= options_.idle_connections) return;
  idle_.push_back({std::move(fd), std::chrono::steady_clock::now()});
}

}  // namespace zerocloud::server
