#include "middleware/server/upstream.h"

#include <algorithm>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/post.hpp>
#include <tuple>
#include <utility>

namespace zerocloud::server {
namespace {

using Tcp = net::ip::tcp;
using boost::system::error_code;

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
  thread_ = other.thread_;
  return *this;
}

void Upstream::Lease::Release() {
  if (wire != nullptr) std::exchange(wire, nullptr)->Close();
  if (owner_ != nullptr) std::exchange(owner_, nullptr)->GiveBack(endpoint_);
}

Upstream::Upstream(UpstreamOptions options, std::shared_ptr<TlsContext> tls, std::size_t threads)
    : options_(std::move(options)), tls_(std::move(tls)), endpoints_(options_.endpoints.size()) {
  for (Endpoint& endpoint : endpoints_) endpoint.idle.resize(threads);
}

Upstream::~Upstream() {
  for (Endpoint& endpoint : endpoints_) DropIdle(endpoint);
}

std::vector<UpstreamState> Upstream::states() {
  std::vector<UpstreamState> states;
  const std::lock_guard lock(mutex_);
  const auto now = Clock::now();
  for (std::size_t i = 0; i < endpoints_.size(); ++i) {
    const Endpoint& endpoint = endpoints_[i];
    states.push_back({Authority(options_.endpoints[i]), endpoint.idle_count, endpoint.taken,
                      endpoint.left_out_until > now});
  }
  return states;
}

std::size_t Upstream::waiting() {
  const std::lock_guard lock(mutex_);
  return waiting_.size();
}

std::string Upstream::authority() const { return Authority(options_.endpoints.front()); }

void Upstream::Discard(Idle idle) {
  const Executor executor = idle.wire->executor();
  net::post(executor, [wire = std::move(idle.wire)] { wire->Close(); });
}

void Upstream::DropIdle(Endpoint& endpoint) {
  for (auto& kept : endpoint.idle) {
    for (Idle& idle : kept) Discard(std::move(idle));
    kept.clear();
  }
  endpoint.idle_count = 0;
}

std::shared_ptr<Upstream::Waiter> Upstream::FreePlace(std::size_t endpoint) {
  --endpoints_[endpoint].taken;
  const auto found = std::ranges::find_if(
      waiting_, [endpoint](const auto& waiter) { return !waiter->tried[endpoint]; });
  if (found == waiting_.end()) return nullptr;
  std::shared_ptr<Waiter> next = std::move(*found);
  waiting_.erase(found);
  return next;
}

void Upstream::Wake(std::shared_ptr<Waiter> next) {
  if (next == nullptr) return;
  const Executor executor = next->executor;
  net::post(executor,
            [next = std::move(next)] { next->wake.expires_at(Clock::time_point::min()); });
}

void Upstream::GiveBack(std::size_t endpoint) {
  std::shared_ptr<Waiter> next;
  {
    const std::lock_guard lock(mutex_);
    next = FreePlace(endpoint);
  }
  Wake(std::move(next));
}

bool Upstream::IsGood(const Idle& idle) const {
  return idle.since >= CoarseNow() - options_.idle_timeout && idle.wire->IsQuiet();
}

bool Upstream::Reuse(Lease& lease) {
  for (;;) {
    Idle idle;
    {
      const std::lock_guard lock(mutex_);
      Endpoint& endpoint = endpoints_[lease.endpoint_];
      auto& kept = endpoint.idle[lease.thread_];
      if (kept.empty()) return false;
      idle = std::move(kept.back());
      kept.pop_back();
      --endpoint.idle_count;
    }
    if (IsGood(idle)) {
      lease.wire = std::move(idle.wire);
      return true;
    }
    idle.wire->Close();
  }
}

// Under mutex_.
std::optional<std::size_t> Upstream::Next(const std::vector<bool>& tried, bool must_be_healthy) {
  const auto now = CoarseNow();
  for (std::size_t i = 0; i < endpoints_.size(); ++i) {
    const std::size_t index = (next_ + i) % endpoints_.size();
    const Endpoint& endpoint = endpoints_[index];
    const bool is_tried = !tried.empty() && tried[index];
    if (is_tried || endpoint.taken >= options_.connections) continue;
    if (must_be_healthy && endpoint.left_out_until > now) continue;
    return index;
  }
  return std::nullopt;
}

std::optional<std::size_t> Upstream::Take(std::vector<bool>& tried) {
  const std::lock_guard lock(mutex_);
  auto chosen = Next(tried, true);
  if (!chosen.has_value()) chosen = Next(tried, false);
  if (!chosen.has_value()) return std::nullopt;
  next_ = (*chosen + 1) % endpoints_.size();
  ++endpoints_[*chosen].taken;
  tried[*chosen] = true;
  return chosen;
}

Upstream::Connected Upstream::ConnectNow(std::size_t thread) {
  Connected result;
  Idle idle;
  {
    const std::lock_guard lock(mutex_);
    const auto chosen = Next({}, true);
    if (!chosen.has_value()) return result;
    Endpoint& endpoint = endpoints_[*chosen];
    auto& kept = endpoint.idle[thread];
    if (kept.empty()) return result;
    idle = std::move(kept.back());
    kept.pop_back();
    --endpoint.idle_count;
    next_ = (*chosen + 1) % endpoints_.size();
    ++endpoint.taken;
    result.lease = Lease(*this, *chosen, thread);
  }
  result.is_reused = IsGood(idle);
  result.lease.wire = std::move(idle.wire);
  if (!result.is_reused) result.lease = {};
  return result;
}

net::awaitable<bool> Upstream::Wait(Executor executor, std::vector<bool> tried,
                                    Clock::time_point deadline) {
  const auto waiter = std::make_shared<Waiter>(
      executor, std::chrono::ceil<std::chrono::milliseconds>(deadline - Clock::now()),
      std::move(tried));
  {
    const std::lock_guard lock(mutex_);
    // One that became free since Take() said no.
    for (std::size_t i = 0; i < endpoints_.size(); ++i) {
      if (!waiter->tried[i] && endpoints_[i].taken < options_.connections) co_return true;
    }
    waiting_.push_back(waiter);
  }
  co_await waiter->wake.async_wait(kAwait);
  const std::lock_guard lock(mutex_);
  // Who was woken has the place, however late that is: nobody else is told of it.
  const bool is_woken = std::erase(waiting_, waiter) == 0;
  co_return is_woken;
}

net::awaitable<Upstream::Connected> Upstream::Connect(Executor executor, std::size_t thread,
                                                      bool may_reuse) {
  Connected result;
  std::vector<bool> tried(endpoints_.size());
  auto deadline = Clock::now() + options_.connect_timeout;
  for (;;) {
    const auto taken = Take(tried);
    if (!taken.has_value()) {
      if (std::ranges::find(tried, false) == tried.end()) co_return result;  // all have failed
      result.is_full = !co_await Wait(executor, tried, deadline);
      if (result.is_full) co_return result;
      continue;
    }
    Lease lease(*this, *taken, thread);
    result.is_reused = may_reuse && Reuse(lease);
    if (result.is_reused) {
      result.lease = std::move(lease);
      co_return result;
    }
    MakeRoom(*taken);
    result.endpoint = Authority(options_.endpoints[*taken]);
    std::tie(result.error, lease.wire) = co_await Open(*taken, executor);
    const std::lock_guard lock(mutex_);
    if (!result.error) {
      endpoints_[*taken].left_out_until = {};
      result.lease = std::move(lease);
      co_return result;
    }
    endpoints_[*taken].left_out_until = Clock::now() + options_.left_out_for;
    DropIdle(endpoints_[*taken]);
    // Each has its time: a host that is down takes all of its own.
    deadline = Clock::now() + options_.connect_timeout;
  }
}

void Upstream::MakeRoom(std::size_t endpoint) {
  const std::lock_guard lock(mutex_);
  Endpoint& full = endpoints_[endpoint];
  for (auto& kept : full.idle) {
    while (!kept.empty() && full.taken + full.idle_count > options_.connections) {
      Discard(std::move(kept.front()));
      kept.erase(kept.begin());
      --full.idle_count;
    }
  }
}

net::awaitable<Upstream::Opened> Upstream::Open(std::size_t endpoint, Executor executor) {
  const UpstreamEndpoint& to = options_.endpoints[endpoint];
  Tcp::resolver resolver(executor);
  // getaddrinfo has its own timeouts; a numeric host is answered without asking anybody.
  const auto [resolve_error, addresses] =
      co_await resolver.async_resolve(to.host, std::to_string(to.port), kAwait);
  error_code error = resolve_error;
  if (error) co_return Opened{error, nullptr};
  for (const auto& entry : addresses) {
    auto wire = std::make_shared<Wire>(executor);
    const net::generic::stream_protocol::endpoint address(entry.endpoint());
    error = co_await wire->Connect(address, options_.connect_timeout);
    if (!error) {
      error_code ignored;
      ignored = wire->socket().set_option(Tcp::no_delay(true), ignored);
      if (to.is_tls) {
        error = co_await wire->Handshake(tls_->NewClientSession(to.host), options_.connect_timeout);
      }
      if (!error) co_return Opened{error, std::move(wire)};
    }
    wire->Close();
  }
  co_return Opened{error, nullptr};
}

void Upstream::Keep(Lease lease) {
  const auto now = CoarseNow();
  const auto oldest = now - options_.idle_timeout;
  std::unique_lock lock(mutex_);
  Endpoint& endpoint = endpoints_[lease.endpoint_];
  auto& kept = endpoint.idle[lease.thread_];
  while (!kept.empty() && kept.front().since < oldest) {
    Discard(std::move(kept.front()));
    kept.erase(kept.begin());
    --endpoint.idle_count;
  }
  if (endpoint.idle_count < options_.idle_connections) {
    kept.push_back({std::move(lease.wire), now});
    ++endpoint.idle_count;
  }
  lease.owner_ = nullptr;  // its place is given back here, under the same lock
  std::shared_ptr<Waiter> next = FreePlace(lease.endpoint_);
  lock.unlock();
  Wake(std::move(next));
}

}  // namespace zerocloud::server
