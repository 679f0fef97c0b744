// Upstream: the endpoints behind this server, and the connections to them. Thread-safe. Internal to
// the server folder.
//
// Connections go to the endpoints in turn; one that could not be reached is left out for a while,
// unless none is left. Idle connections are kept and used again, the most recent first, by the
// thread that opened them. At most so many connections are open to an endpoint; who finds all of
// them taken waits for its turn.
#pragma once

#include <chrono>
#include <cstdint>
#include <deque>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "middleware/server/asio.h"
#include "middleware/server/server.h"
#include "middleware/server/tls.h"
#include "middleware/server/wire.h"

namespace zerocloud::server {

class Upstream {
 public:
  // `tls` is used for the endpoints that want it; null if none does. `threads`: how many share
  // this, each with an executor of its own, which outlives this.
  Upstream(UpstreamOptions options, std::shared_ptr<TlsContext> tls, std::size_t threads);
  Upstream(const Upstream&) = delete;
  Upstream& operator=(const Upstream&) = delete;
  ~Upstream();

  [[nodiscard]] const UpstreamOptions& options() const { return options_; }
  // "host:port" of the first endpoint, for requests that came without Host.
  [[nodiscard]] std::string authority() const;

  [[nodiscard]] std::vector<UpstreamState> states();
  [[nodiscard]] std::size_t waiting();

  // A connection, and the place among the open ones that it takes until this is destroyed.
  class Lease {
   public:
    Lease() = default;
    Lease(Upstream& owner, std::size_t endpoint, std::size_t thread)
        : owner_(&owner), endpoint_(endpoint), thread_(thread) {}
    Lease(Lease&& other) noexcept
        : wire(std::move(other.wire)),
          owner_(std::exchange(other.owner_, nullptr)),
          endpoint_(other.endpoint_),
          thread_(other.thread_) {}
    Lease& operator=(Lease&& other) noexcept;
    Lease(const Lease&) = delete;
    Lease& operator=(const Lease&) = delete;
    ~Lease() { Release(); }

    std::shared_ptr<Wire> wire;  // closed with the lease

   private:
    friend class Upstream;
    void Release();
    Upstream* owner_ = nullptr;
    std::size_t endpoint_ = 0;
    std::size_t thread_ = 0;
  };

  struct Connected {
    Lease lease;                      // or without a wire, and:
    boost::system::error_code error;  // net::error::timed_out
    std::string endpoint;             // "host:port" of the one that failed last
    bool is_reused = false;           // it was idle, and looked alive a moment ago
    bool is_full = false;             // no connection became free in time
  };
  // One that is kept idle, if there is one where it is the turn of; else without a wire.
  Connected ConnectNow(std::size_t thread);
  // `thread`: whose executor that is, a number below `threads`.
  net::awaitable<Connected> Connect(Executor executor, std::size_t thread, bool may_reuse);
  // Keeps it for the next request: the whole response was read and nothing more is expected.
  void Keep(Lease lease);

 private:
  using Clock = std::chrono::steady_clock;
  struct Idle {
    std::shared_ptr<Wire> wire;
    Clock::time_point since;
  };
  struct Endpoint {
    std::vector<std::vector<Idle>> idle;  // of each thread, the most recent last
    std::size_t idle_count = 0;
    std::size_t taken = 0;  // leases
    Clock::time_point left_out_until;
  };
  // Somebody who waits for a place. `wake` is used on its executor only.
  struct Waiter {
    Waiter(const Executor& on, std::chrono::milliseconds limit, std::vector<bool> without)
        : executor(on), wake(on, limit), tried(std::move(without)) {}
    Executor executor;
    Timer wake;
    const std::vector<bool> tried;  // endpoints whose place is of no use to it
  };

  // The next endpoint with a free place, which is then taken; one that is left out only if there is
  // no other.
  std::optional<std::size_t> Take(std::vector<bool>& tried);
  // Whose turn it is, of those with a free place that were not tried (empty: none was).
  std::optional<std::size_t> Next(const std::vector<bool>& tried, bool must_be_healthy);
  // Waits for a free place at an endpoint not tried; false: none came in time.
  net::awaitable<bool> Wait(Executor executor, std::vector<bool> tried, Clock::time_point deadline);
  // An idle connection of the lease's endpoint and thread, which lives.
  bool Reuse(Lease& lease);
  // Makes room for a new connection beside the idle ones of other threads.
  void MakeRoom(std::size_t endpoint);
  void GiveBack(std::size_t endpoint);
  // Under mutex_. Who has waited longest for it, to be woken without the lock; or null.
  std::shared_ptr<Waiter> FreePlace(std::size_t endpoint);
  static void Wake(std::shared_ptr<Waiter> next);
  // Not kept for too long, and still open.
  [[nodiscard]] bool IsGood(const Idle& idle) const;
  // Closed where it lives.
  static void Discard(Idle idle);
  // Under mutex_.
  static void DropIdle(Endpoint& endpoint);
  using Opened = std::pair<boost::system::error_code, std::shared_ptr<Wire>>;
  net::awaitable<Opened> Open(std::size_t endpoint, Executor executor);

  const UpstreamOptions options_;
  const std::shared_ptr<TlsContext> tls_;
  std::mutex mutex_;
  std::vector<Endpoint> endpoints_;              // under mutex_, as all below
  std::size_t next_ = 0;                         // whose turn it is
  std::deque<std::shared_ptr<Waiter>> waiting_;  // in the order they came
};

}  // namespace zerocloud::server
