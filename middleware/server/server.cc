#include "middleware/server/server.h"

#include <pthread.h>

#include <algorithm>
#include <atomic>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <condition_variable>
#include <csignal>
#include <map>
#include <mutex>
#include <thread>
#include <utility>
#include <vector>

#include "middleware/server/connection.h"

namespace zerocloud::server {

using Tcp = net::ip::tcp;
using Acceptor = net::basic_socket_acceptor<Tcp, Executor>;
using WorkGuard = net::executor_work_guard<net::io_context::executor_type>;
using boost::system::error_code;

// splice() to a peer that has gone raises SIGPIPE in the thread that called it, and cannot be asked
// not to.
void IgnoreBrokenPipes() {
  sigset_t broken_pipe;
  sigemptyset(&broken_pipe);
  sigaddset(&broken_pipe, SIGPIPE);
  ::pthread_sigmask(SIG_BLOCK, &broken_pipe, nullptr);
}

// Where connections run. Handlers that answer from local files may block, so the threads share one
// context and each connection has a strand. Where requests go to an upstream nothing blocks: each
// thread has a context of its own, and a connection stays on its thread with those to the upstream.
class Threads {
 public:
  Threads(std::size_t count, bool is_shared) : is_shared_(is_shared), count_(count) {
    for (std::size_t i = 0; i < (is_shared ? 1 : count); ++i) {
      contexts_.push_back(
          std::make_unique<net::io_context>(is_shared ? static_cast<int>(count) : 1));
      guards_.push_back(net::make_work_guard(*contexts_.back()));
    }
  }
  Threads(const Threads&) = delete;
  Threads& operator=(const Threads&) = delete;
  ~Threads() { Stop(); }

  void Start() {
    for (std::size_t i = 0; i < count_; ++i) {
      threads_.emplace_back([context = contexts_[i % contexts_.size()].get()] {
        IgnoreBrokenPipes();
        context->run();
      });
    }
  }
  void Stop() {
    for (const auto& context : contexts_) context->stop();
    for (std::thread& thread : threads_) thread.join();
    threads_.clear();
  }

  // How many executors there are besides strands.
  [[nodiscard]] std::size_t size() const { return contexts_.size(); }
  // For a new connection, on that one of them.
  [[nodiscard]] Executor At(std::size_t index) {
    if (is_shared_) return net::make_strand(*contexts_[index]);
    return contexts_[index]->get_executor();
  }

 private:
  const bool is_shared_;
  const std::size_t count_;
  std::vector<std::unique_ptr<net::io_context>> contexts_;
  std::vector<WorkGuard> guards_;
  std::vector<std::thread> threads_;
};

struct Server::State {
  State(Options given, http::Handler& handler)
      : options(std::move(given)),
        threads(std::max<std::size_t>(1, options.threads), !options.settings.upstream.has_value()),
        accept_executor(threads.At(0)),
        acceptor(accept_executor) {
    service.handler = &handler;
    service.on_request = options.on_request;
  }

  Result<void> Change(Settings settings);
  Result<void> Listen();
  net::awaitable<void> AcceptLoop();
  void Serve(Socket socket, std::size_t thread, std::string remote_address);
  void Forget(std::uint64_t id);
  std::vector<std::shared_ptr<Connection>> Connections();

  Options options;
  Threads threads;
  Service service;
  std::optional<UpstreamOptions> upstream_options;  // those in force; only Change() uses it
  Executor accept_executor;
  Acceptor acceptor;
  std::uint16_t port = 0;
  std::atomic<std::size_t> next_thread = 0;

  std::mutex mutex;
  std::condition_variable all_gone;
  std::map<std::uint64_t, std::weak_ptr<Connection>> connections;  // under mutex
  std::uint64_t next_id = 0;                                       // under mutex
  bool is_stopped = false;                                         // under mutex
};

Result<void> Server::State::Change(Settings settings) {
  if (settings.upstream.has_value() != options.settings.upstream.has_value()) {
    return Fail(ErrorCode::kConflict, "Whether there is an upstream changes only with a restart.");
  }
  auto live = std::make_shared<LiveSettings>();
  live->limits = settings.limits;
  live->expects_proxy_header = settings.expects_proxy_header;
  if (!settings.tls_certificate.empty()) {
    auto tls = TlsContext::ForServer(settings.tls_certificate, settings.tls_key);
    if (!tls.has_value()) return Fail(tls);
    live->tls = std::move(*tls);
  }
  const auto before = service.Current();
  if (before != nullptr && settings.upstream == upstream_options) {
    live->upstream = before->upstream;  // with its connections
  } else if (settings.upstream.has_value()) {
    std::shared_ptr<TlsContext> tls;
    const auto& endpoints = settings.upstream->endpoints;
    if (std::ranges::any_of(endpoints, [](const auto& each) { return each.is_tls; })) {
      auto created = TlsContext::ForClient(settings.upstream->tls_authorities);
      if (!created.has_value()) return Fail(created);
      tls = std::move(*created);
    }
    live->upstream = std::make_shared<Upstream>(*settings.upstream, std::move(tls), threads.size());
  }
  upstream_options = std::move(settings.upstream);
  service.Set(std::move(live));
  return {};
}

Result<void> Server::State::Listen() {
  error_code ec;
  const auto fail = [&](const char* step) {
    return Fail(ec == net::error::address_in_use ? ErrorCode::kConflict : ErrorCode::kInvalid,
                "cannot " + std::string(step) + " " + options.address + ":" +
                    std::to_string(options.port) + ": " + ec.message());
  };
  const auto address = net::ip::make_address(options.address, ec);
  if (ec) return fail("understand the address");
  const Tcp::endpoint endpoint(address, options.port);
  ec = acceptor.open(endpoint.protocol(), ec);
  if (ec) return fail("open a socket for");
  ec = acceptor.set_option(net::socket_base::reuse_address(true), ec);
  if (ec) return fail("prepare");
  ec = acceptor.bind(endpoint, ec);
  if (ec) return fail("bind");
  ec = acceptor.listen(net::socket_base::max_listen_connections, ec);
  if (ec) return fail("listen on");
  const Tcp::endpoint bound = acceptor.local_endpoint(ec);
  if (ec) return fail("tell the port of");
  port = bound.port();
  return {};
}

net::awaitable<void> Server::State::AcceptLoop() {
  for (;;) {
    const std::size_t thread = next_thread++ % threads.size();
    auto [ec, peer] = co_await acceptor.async_accept(threads.At(thread), kAwait);
    if (ec == net::error::operation_aborted || !acceptor.is_open()) co_return;
    if (ec) {
      // Out of descriptors or memory: wait for connections to end instead of spinning.
      Timer pause(accept_executor, std::chrono::milliseconds(50));
      co_await pause.async_wait(kAwait);
      continue;
    }
    error_code ignored;
    ignored = peer.set_option(Tcp::no_delay(true), ignored);
    const Tcp::endpoint remote = peer.remote_endpoint(ignored);
    Socket socket(std::move(peer));
    Serve(std::move(socket), thread, remote.address().to_string());
  }
}

void Server::State::Serve(Socket socket, std::size_t thread, std::string remote_address) {
  std::shared_ptr<Connection> connection;
  std::uint64_t id = 0;
  {
    const std::lock_guard lock(mutex);
    if (is_stopped || connections.size() >= service.Current()->limits.connections) {
      constexpr std::string_view kFull =
          "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\nRetry-After: 1\r\n"
          "Connection: close\r\n\r\n";
      error_code ignored;
      ignored = socket.non_blocking(true, ignored);
      socket.send(net::buffer(kFull), 0, ignored);
      return;
    }
    id = next_id++;
    const Executor executor = socket.get_executor();
    connection =
        std::make_shared<Connection>(std::move(socket), thread, service, std::move(remote_address));
    connections.emplace(id, connection);
    net::co_spawn(
        executor, [connection] { return connection->Run(); },
        [this, connection, id](const std::exception_ptr&) mutable {
          // An exception (no memory) ends this connection only. Its last owner goes first, so that
          // Stop() returns after it was destroyed.
          connection->Close();
          connection.reset();
          Forget(id);
        });
  }
}

void Server::State::Forget(std::uint64_t id) {
  const std::lock_guard lock(mutex);
  connections.erase(id);
  all_gone.notify_all();
}

std::vector<std::shared_ptr<Connection>> Server::State::Connections() {
  std::vector<std::shared_ptr<Connection>> result;
  const std::lock_guard lock(mutex);
  for (const auto& [id, weak] : connections) {
    if (auto connection = weak.lock()) result.push_back(std::move(connection));
  }
  return result;
}

Server::Server(std::unique_ptr<State> state) : state_(std::move(state)) {}

Result<std::unique_ptr<Server>> Server::Start(Options options, http::Handler& handler) {
  auto state = std::make_unique<State>(std::move(options), handler);
  const Result<void> changed = state->Change(state->options.settings);
  if (!changed.has_value()) return Fail(changed);
  if (!state->options.address.empty()) {
    const Result<void> listening = state->Listen();
    if (!listening.has_value()) return Fail(listening);
    State* raw = state.get();
    net::co_spawn(state->accept_executor, [raw] { return raw->AcceptLoop(); }, net::detached);
  }
  state->threads.Start();
  return std::unique_ptr<Server>(new Server(std::move(state)));
}

Server::~Server() {
  Stop(std::chrono::milliseconds(0));
  state_->service.Set(nullptr);  // with the upstream's connections, while their threads live
  state_->threads.Stop();
}

std::uint16_t Server::port() const { return state_->port; }

std::size_t Server::connection_count() const {
  const std::lock_guard lock(state_->mutex);
  return state_->connections.size();
}

std::vector<UpstreamState> Server::upstream_states() const {
  const auto settings = state_->service.Current();
  return settings == nullptr || settings->upstream == nullptr ? std::vector<UpstreamState>()
                                                              : settings->upstream->states();
}

std::size_t Server::upstream_waiting() const {
  const auto settings = state_->service.Current();
  return settings == nullptr || settings->upstream == nullptr ? 0 : settings->upstream->waiting();
}

Result<void> Server::Change(Settings settings) { return state_->Change(std::move(settings)); }

void Server::Adopt(UniqueFd connection) {
  const std::size_t thread = state_->next_thread++ % state_->threads.size();
  Socket socket(state_->threads.At(thread));
  error_code ec;
  ec = socket.assign(net::generic::stream_protocol(AF_UNIX, 0), connection.get(), ec);
  if (ec) return;
  [[maybe_unused]] const int now_the_sockets = connection.Release();
  state_->Serve(std::move(socket), thread, "");
}

void Server::Stop(std::chrono::milliseconds grace) {
  {
    const std::lock_guard lock(state_->mutex);
    if (std::exchange(state_->is_stopped, true)) return;
  }
  state_->service.is_draining = true;
  net::post(state_->accept_executor, [state = state_.get()] {
    error_code ignored;
    ignored = state->acceptor.close(ignored);
  });
  for (const auto& connection : state_->Connections()) connection->Drain();
  const auto is_empty = [this] { return state_->connections.empty(); };
  {
    std::unique_lock lock(state_->mutex);
    if (state_->all_gone.wait_for(lock, grace, is_empty)) return;
  }
  for (const auto& connection : state_->Connections()) connection->Abort();
  std::unique_lock lock(state_->mutex);
  state_->all_gone.wait(lock, is_empty);
}

}  // namespace zerocloud::server
