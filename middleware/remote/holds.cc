#include "middleware/remote/holds.h"

#include <limits>
#include <utility>
#include <vector>

namespace zerocloud::remote {

// What is forgotten is destroyed without the lock: giving bytes back takes system calls.

void Holds::Heard(const std::string& proxy, Clock::time_point now) {
  const std::lock_guard lock(mutex_);
  const auto found = proxies_.find(proxy);
  if (found != proxies_.end()) found->second.heard = now;
}

Result<void> Holds::Add(const std::string& proxy, const std::string& id, UniqueFd file,
                        std::uint64_t size) {
  std::shared_ptr<node::JobSpool> spool;
  {
    const std::lock_guard lock(mutex_);
    Proxy& owner = proxies_[proxy];
    owner.heard = Clock::now();
    if (owner.spool == nullptr) {
      // How much a job may take is the proxy's to count.
      owner.spool =
          std::make_shared<node::JobSpool>(spool_, std::numeric_limits<std::uint64_t>::max());
    }
    if (owner.holds.contains(id)) return Fail(ErrorCode::kInvalid, "there is such a hold already");
    spool = owner.spool;
  }
  Result<node::Piece> piece = spool->Keep(std::move(file), size);
  if (!piece) return Fail(piece);
  auto hold = std::make_shared<const Hold>(std::move(spool), std::move(*piece));
  const std::lock_guard lock(mutex_);
  Proxy& owner = proxies_[proxy];
  owner.heard = Clock::now();  // a session that ran for it has just ended
  const bool is_new = owner.holds.emplace(id, Entry{hold}).second;
  if (!is_new) return Fail(ErrorCode::kInvalid, "there is such a hold already");
  return {};
}

std::shared_ptr<const Hold> Holds::Find(const std::string& proxy, const std::string& id) const {
  const std::lock_guard lock(mutex_);
  const auto owner = proxies_.find(proxy);
  if (owner == proxies_.end()) return nullptr;
  const auto found = owner->second.holds.find(id);
  return found == owner->second.holds.end() ? nullptr : found->second.hold;
}

void Holds::Drop(const std::string& proxy, std::span<const std::string> ids) {
  std::vector<std::shared_ptr<const Hold>> dropped;
  const std::lock_guard lock(mutex_);
  const auto owner = proxies_.find(proxy);
  if (owner == proxies_.end()) return;
  for (const std::string& id : ids) {
    const auto found = owner->second.holds.find(id);
    if (found == owner->second.holds.end()) continue;
    dropped.push_back(std::move(found->second.hold));
    owner->second.holds.erase(found);
  }
  // The file of small ones only grows, with holes in it: the next hold begins another.
  if (owner->second.holds.empty()) owner->second.spool.reset();
}

void Holds::Spare(const std::string& proxy, std::span<const std::string> ids) {
  const std::lock_guard lock(mutex_);
  const auto owner = proxies_.find(proxy);
  if (owner == proxies_.end()) return;
  for (const std::string& id : ids) {
    const auto found = owner->second.holds.find(id);
    if (found != owner->second.holds.end()) found->second.is_spare = true;
  }
}

bool Holds::MakeRoom() {
  std::vector<std::shared_ptr<const Hold>> dropped;
  const std::lock_guard lock(mutex_);
  for (auto& [name, owner] : proxies_) {
    std::erase_if(owner.holds, [&](auto& item) {
      if (item.second.is_spare) dropped.push_back(item.second.hold);
      return item.second.is_spare;
    });
  }
  return !dropped.empty();
}

void Holds::ForgetSilent(Clock::time_point now) {
  std::vector<Proxy> gone;
  const std::lock_guard lock(mutex_);
  std::erase_if(proxies_, [&](auto& item) {
    if (now - item.second.heard <= silence_) return false;
    gone.push_back(std::move(item.second));
    return true;
  });
}

std::size_t Holds::count() const {
  const std::lock_guard lock(mutex_);
  std::size_t count = 0;
  for (const auto& [name, owner] : proxies_) count += owner.holds.size();
  return count;
}

}  // namespace zerocloud::remote
