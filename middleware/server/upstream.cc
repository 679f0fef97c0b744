#include "middleware/server/upstream.h"

#include <sys/socket.h>

#include <algorithm>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/post.hpp>
#include <cerrno>
#include <tuple>
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

std::string Authority(const UpstreamEndpoint& endpoint) {
  const bool is_v6 = endpoint.host.find(':') != std::string::npos;
  return (is_v6 ? "[" + endpoint.host + "]" : endpoint.host) + ":" + std::to_string(endpoint.port);
}

}  // namespace

Upstream::Lease& Upstream::Lease::operator=(Lease&& other) noexcept {
  if (this == &other) return *this;
  Release();
  wire = std::move(other.wire);
  owner_ = std::exchange(other.owner_, nullptr);
  endpoint_ = other.endpoint_;
  return *this;
}

void Upstream::Lease::Release() {
  wire.reset();
  if (owner_ != nullptr) std::exchange(owner_, nullptr)->GiveBack(endpoint_);
}

Upstream::Upstream(UpstreamOptions options, std::shared_ptr<TlsContext> tls)
    : options_(std::move(options)), tls_(std::move(tls)), endpoints_(options_.endpoints.size()) {}

std::string Upstream::authority() const { return Authority(options_.endpoints.front()); }

void Upstream::GiveBack(std::size_t endpoint) {
  std::shared_ptr<Waiter> next;
  {
    const std::lock_guard lock(mutex_);
    --endpoints_[endpoint].taken;
    if (waiting_.empty()) return;
    next = std::move(waiting_.front());
    waiting_.pop_front();
  }
  net::post(next->strand, [next] { next->wake.expires_at(Clock::time_point::min()); });
}

bool Upstream::Reuse(Lease& lease, const Strand& strand) {
  const auto oldest = Clock::now() - options_.idle_timeout;
  for (;;) {
    Idle idle;
    {
      const std::lock_guard lock(mutex_);
      auto& kept = endpoints_[lease.endpoint_].idle;
      if (!kept.empty() && kept.back().since < oldest) kept.clear();  // the others are older
      if (kept.empty()) return false;
      idle = std::move(kept.back());
      kept.pop_back();
    }
    if (!IsQuiet(idle.socket.get())) continue;
    Socket socket(strand);
    error_code ec;
    ec = socket.assign(net::generic::stream_protocol(Tcp::v4()), idle.socket.get(), ec);
    if (ec) continue;
    [[maybe_unused]] const int now_the_wires = idle.socket.Release();
    lease.wire = std::make_unique<Wire>(std::move(socket), std::move(idle.tls));
    return true;
  }
}

std::optional<std::size_t> Upstream::Take(std::vector<bool>& tried,
                                          const std::shared_ptr<Waiter>& waiter) {
  const auto now = Clock::now();
  const std::lock_guard lock(mutex_);
  const auto choose = [&](bool must_be_healthy) -> std::optional<std::size_t> {
    for (std::size_t i = 0; i < endpoints_.size(); ++i) {
      const std::size_t index = (next_ + i) % endpoints_.size();
      Endpoint& endpoint = endpoints_[index];
      if (tried[index] || endpoint.taken >= options_.connections) continue;
      if (must_be_healthy && endpoint.left_out_until > now) continue;
      next_ = (index + 1) % endpoints_.size();
      ++endpoint.taken;
      tried[index] = true;
      return index;
    }
    return std::nullopt;
  };
  if (const auto healthy = choose(true)) return healthy;
  if (const auto any = choose(false)) return any;
  const bool may_wait = std::ranges::find(tried, false) != tried.end();
  if (may_wait) waiting_.push_back(waiter);
  return std::nullopt;
}

net::awaitable<Upstream::Connected> Upstream::Connect(Strand strand, bool may_reuse) {
  Connected result;
  std::vector<bool> tried(endpoints_.size());
  const auto deadline = Clock::now() + options_.connect_timeout;
  for (;;) {
    const auto waiter = std::make_shared<Waiter>(
        strand, std::chrono::ceil<std::chrono::milliseconds>(deadline - Clock::now()));
    const auto taken = Take(tried, waiter);
    if (!taken.has_value()) {
      if (std::ranges::find(tried, false) == tried.end()) co_return result;  // all have failed
      co_await waiter->wake.async_wait(kAwait);
      {
        const std::lock_guard lock(mutex_);
        std::erase(waiting_, waiter);
      }
      result.is_full = Clock::now() >= deadline;
      if (result.is_full) co_return result;
      continue;
    }
    Lease lease(*this, *taken);
    result.is_reused = may_reuse && Reuse(lease, strand);
    if (result.is_reused) {
      result.lease = std::move(lease);
      co_return result;
    }
    result.endpoint = Authority(options_.endpoints[*taken]);
    std::tie(result.error, lease.wire) = co_await Open(*taken, strand);
    const std::lock_guard lock(mutex_);
    if (!result.error) {
      endpoints_[*taken].left_out_until = {};
      result.lease = std::move(lease);
      co_return result;
    }
    endpoints_[*taken].left_out_until = Clock::now() + options_.left_out_for;
    endpoints_[*taken].idle.clear();
    if (Clock::now() >= deadline) break;
  }
  co_return result;
}

net::awaitable<Upstream::Opened> Upstream::Open(std::size_t endpoint, Strand strand) {
  const UpstreamEndpoint& to = options_.endpoints[endpoint];
  net::ip::basic_resolver<Tcp, Strand> resolver(strand);
  // getaddrinfo has its own timeouts; a numeric host is answered without asking anybody.
  const auto [resolve_error, addresses] =
      co_await resolver.async_resolve(to.host, std::to_string(to.port), kAwait);
  error_code error = resolve_error;
  if (error) co_return Opened{error, nullptr};
  for (const auto& entry : addresses) {
    auto wire = std::make_unique<Wire>(strand);
    const net::generic::stream_protocol::endpoint address(entry.endpoint());
    error = co_await wire->Connect(address, options_.connect_timeout);
    if (error) continue;
    error_code ignored;
    ignored = wire->socket().set_option(Tcp::no_delay(true), ignored);
    if (to.is_tls) {
      error = co_await wire->Handshake(tls_->NewClientSession(to.host), options_.connect_timeout);
    }
    if (!error) co_return Opened{error, std::move(wire)};
  }
  co_return Opened{error, nullptr};
}

void Upstream::Keep(Lease lease) {
  error_code ec;
  SslSession tls = lease.wire->ReleaseTls();
  Socket socket = lease.wire->ReleaseSocket();
  UniqueFd fd(socket.release(ec));
  if (ec || !fd.is_open()) return;
  {
    const std::lock_guard lock(mutex_);
    auto& idle = endpoints_[lease.endpoint_].idle;
    if (idle.size() < options_.idle_connections) {
      idle.push_back({std::move(fd), std::move(tls), Clock::now()});
    }
  }
}

}  // namespace zerocloud::server
