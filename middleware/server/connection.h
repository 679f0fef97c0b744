// Connection: one client's stream of requests, as a coroutine on one executor. Internal to the
// server folder: includes Asio and Beast.
//
// Owned by shared_ptr: the coroutine holds one, the server's registry a weak one.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>

#include "middleware/http/message.h"
#include "middleware/server/forwarding.h"
#include "middleware/server/message_head.h"
#include "middleware/server/request.h"
#include "middleware/server/response_head.h"
#include "middleware/server/server.h"
#include "middleware/server/tls.h"
#include "middleware/server/upstream.h"

namespace zerocloud::server {

// The settings in force, ready for use. Never changes; connections keep those that they began with
// until their request ends.
struct LiveSettings {
  Limits limits;
  std::shared_ptr<Upstream> upstream;  // may be null
  std::shared_ptr<TlsContext> tls;     // may be null
  bool expects_proxy_header = false;
};

// What a connection needs of its server; outlives every connection.
class Service {
 public:
  http::Handler* handler = nullptr;
  std::function<void(const RequestRecord&)> on_request;
  std::atomic<bool> is_draining = false;

  // Thread-safe.
  [[nodiscard]] std::shared_ptr<const LiveSettings> Current() const {
    const std::lock_guard lock(mutex_);
    return settings_;
  }
  void Set(std::shared_ptr<const LiveSettings> settings) {
    const std::lock_guard lock(mutex_);
    settings_ = std::move(settings);
    ++version_;
  }
  // Which settings are in force; costs less than to get them.
  [[nodiscard]] std::uint64_t version() const { return version_; }

 private:
  mutable std::mutex mutex_;
  std::atomic<std::uint64_t> version_ = 0;
  std::shared_ptr<const LiveSettings> settings_;  // under mutex_
};

class Connection : public std::enable_shared_from_this<Connection> {
 public:
  // `thread`: the number of the socket's executor, as Upstream counts them.
  Connection(Socket socket, std::size_t thread, Service& service, std::string remote_address);

  // The whole life, but for Close().
  net::awaitable<void> Run();
  void Close() { wire_->Close(); }

  // Both thread-safe. Drain: closes now if no request is under way, else after it (the service's
  // is_draining was set before). Abort: ends it at once; an exchange under way is destroyed.
  void Drain();
  void Abort();

 private:
  // What `done` of an exchange fills in, from any thread. The coroutine owns it; `done` only refers
  // to it weakly, so that a copy of `done` kept too long holds nothing of the server.
  struct Completion {
    explicit Completion(const Executor& on) : executor(on), wake(on) {}
    std::mutex mutex;
    std::optional<http::Response> answer;  // under mutex
    bool is_awaited = false;               // under mutex
    Executor executor;
    Timer wake;  // on the executor only
  };
  enum class Next : std::uint8_t { kRequest, kClose };
  enum class Pumped : std::uint8_t { kWhole, kAnswerNow, kGone };

  // The PROXY protocol's header and TLS, where they are wanted. False: the connection is no good.
  net::awaitable<bool> Begin();
  net::awaitable<bool> ReadProxyHeader();
  net::awaitable<Next> ServeOne();
  // The size of a complete head in buffer_; none: there is nothing (more) to serve, or it was
  // refused.
  net::awaitable<std::optional<std::size_t>> ReadHead();
  // Takes the head apart. None, or what is wrong with it.
  std::optional<HeadObjection> ParseHead(std::size_t size);
  // Answers what never became a request.
  net::awaitable<void> Refuse(int status, std::string reason);
  net::awaitable<Next> ServeExchange();
  net::awaitable<Next> ServeForward();
  // Pushes the request body. kAnswerNow: the answer to a refused piece is in the request. kGone:
  // the client left or wrote nonsense, and that is answered as far as it can be.
  net::awaitable<Pumped> PumpBody();
  // Whether an answer came; else the client went away first.
  net::awaitable<bool> AwaitAnswer();
  // Sends request_->response and sees to the rest of the request body.
  net::awaitable<Next> Answer();
  // False: the connection cannot be used any more.
  net::awaitable<bool> WriteResponse(bool keep_alive);
  net::awaitable<bool> WriteBody(BodyFrame frame, std::string head);
  net::awaitable<bool> Write(std::span<const net::const_buffer> pieces);
  net::awaitable<bool> DrainBody();
  net::awaitable<void> LingeringClose();
  void Record();

  Service& service_;
  std::uint64_t settings_version_;  // before settings_: never newer
  std::shared_ptr<const LiveSettings> settings_;
  const std::size_t thread_;
  std::shared_ptr<Wire> wire_;
  beast::flat_buffer buffer_;
  std::string remote_address_;
  std::unique_ptr<Request> request_;
  std::shared_ptr<Completion> completion_;  // while an answer is awaited
  Forwarding* forwarding_ = nullptr;        // while one is under way
  bool is_idle_ = true;
  bool is_aborted_ = false;
};

}  // namespace zerocloud::server
