#include "middleware/upstream/container_policies.h"

#include <algorithm>

namespace zerocloud::upstream {

void ContainerPolicies::Learn(const std::string& account, const std::string& container,
                              std::string policy) {
  const std::lock_guard lock(mutex_);
  Entry& entry = At({account, container});
  entry.policy = std::move(policy);
  entry.until = now_() + limits_.known;
}

std::optional<std::string> ContainerPolicies::Of(const store::Caller& caller,
                                                 const std::string& account,
                                                 const std::string& container) {
  const Name name{account, container};
  std::unique_lock lock(mutex_);
  while (true) {
    const auto found = entries_.find(name);
    if (found == entries_.end()) break;
    if (found->second.until > now_()) return found->second.policy;
    if (!found->second.is_asked) break;
    answered_.wait(lock);
  }
  At(name).is_asked = true;
  lock.unlock();
  std::optional<std::string> policy = ask_(caller, account, container);
  lock.lock();
  Entry& entry = At(name);
  entry.is_asked = false;
  // A listing may have told it meanwhile.
  if (policy || entry.until <= now_()) {
    entry.until = now_() + (policy ? limits_.known : limits_.unknown);
    entry.policy = policy;
  }
  answered_.notify_all();
  return entry.policy;
}

std::size_t ContainerPolicies::size() const {
  const std::lock_guard lock(mutex_);
  return entries_.size();
}

ContainerPolicies::Entry& ContainerPolicies::At(const Name& name) {
  const auto found = entries_.find(name);
  if (found != entries_.end()) return found->second;
  if (entries_.size() >= limits_.containers) {
    // Those that somebody waits for stay: there are no more of them than threads.
    std::erase_if(entries_, [now = now_()](const auto& entry) {
      return !entry.second.is_asked && entry.second.until <= now;
    });
    const auto oldest = std::ranges::min_element(entries_, {}, [](const auto& entry) {
      return std::pair(entry.second.is_asked, entry.second.until);
    });
    const bool is_full = entries_.size() >= limits_.containers && oldest != entries_.end();
    if (is_full && !oldest->second.is_asked) entries_.erase(oldest);
  }
  return entries_[name];
}

}  // namespace zerocloud::upstream
