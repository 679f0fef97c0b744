// Upstream: the endpoints behind this server, and the connections to them. Thread-safe. Internal to
// the server folder.
//
// Connections go to the endpoints in turn; one that could not be reached is left out for a while,
// unless none is left. Idle connections are kept and used again, the most recent first. At most so
// many connections are open to an endpoint; who finds all of them taken waits for its turn.
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

#include "channels/base/unique_fd.h"
#include "middleware/server/asio.h"
#include "middleware/server/server.h"
#include "middleware/server/tls.h"
#include "middleware/server/wire.h"

namespace zerocloud::server {

class Upstream {
 public:
  // `tls` is used for the endpoints that want it; null if none does. Both outlive this.
  Upstream(UpstreamOptions options, std::shared_ptr<TlsContext> tls);

  [[nodiscard]] const UpstreamOptions& options() const { return options_; }
  // "host:port" of the first endpoint, for requests that came without Host.
  [[nodiscard]] std::string authority() const;

  // A connection, and the place among the open ones that it takes until this is destroyed.
  class Lease {
   public:
    Lease() = default;
    Lease(Upstream& owner, std::size_t endpoint) : owner_(&owner), endpoint_(endpoint) {}
    Lease(Lease&& other) noexcept
        : wire(std::move(other.wire)),
          owner_(std::exchange(other.owner_, nullptr)),
          endpoint_(other.endpoint_) {}
    Lease& operator=(Lease&& other) noexcept;
    Lease(const Lease&) = delete;
    Lease& operator=(const Lease&) = delete;
    ~Lease() { Release(); }

    std::unique_ptr<Wire> wire;

   private:
    friend class Upstream;
    void Release();
    Upstream* owner_ = nullptr;
    std::size_t endpoint_ = 0;
  };

  struct Connected {
    Lease lease;                      // or without a wire, and:
    boost::system::error_code error;  // net::error::timed_out
    std::string endpoint;             // "host:port" of the one that failed last
    bool is_reused = false;           // it was idle, and looked alive a moment ago
    bool is_full = false;             // no connection became free in time
  };
  net::awaitable<Connected> Connect(Strand strand, bool may_reuse);
  // Keeps it for the next request: the whole response was read and nothing more is expected.
  void Keep(Lease lease);

 private:
  using Clock = std::chrono::steady_clock;
  struct Idle {
    UniqueFd socket;
    SslSession tls;
    Clock::time_point since;
  };
  struct Endpoint {
    std::vector<Idle> idle;  // the most recent last
    std::size_t taken = 0;   // leases
    Clock::time_point left_out_until;
  };
  // Somebody who waits for a place. `wake` is used on its strand only.
  struct Waiter {
    explicit Waiter(const Strand& on, std::chrono::milliseconds limit)
        : strand(on), wake(on, limit) {}
    Strand strand;
    Timer wake;
  };

  // The next endpoint with a free place, which is then taken; those left out only if `any`. None:
  // `waiter` is told when a place becomes free.
  std::optional<std::size_t> Take(std::vector<bool>& tried, const std::shared_ptr<Waiter>& waiter);
  // An idle connection of the lease's endpoint.
  bool Reuse(Lease& lease, const Strand& strand);
  void GiveBack(std::size_t endpoint);
  using Opened = std::pair<boost::system::error_code, std::unique_ptr<Wire>>;
  net::awaitable<Opened> Open(std::size_t endpoint, Strand strand);

  const UpstreamOptions options_;
  const std::shared_ptr<TlsContext> tls_;
  std::mutex mutex_;
  std::vector<Endpoint> endpoints_;              // under mutex_, as all below
  std::size_t next_ = 0;                         // whose turn it is
  std::deque<std::shared_ptr<Waiter>> waiting_;  // in the order they came
};

}  // namespace zerocloud::server
