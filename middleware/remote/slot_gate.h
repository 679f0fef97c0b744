// SlotGate: so many at once, so many waiting, the rest is refused. Thread-safe. Private to this
// folder.
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <mutex>

namespace zerocloud::remote {

class SlotGate {
 public:
  SlotGate(std::size_t slots, std::size_t waiting) : slots_(slots), most_waiting_(waiting) {}

  // Takes a place in the queue; false: there is none. Then Enter() until it is true, or Leave().
  bool Queue() {
    const std::lock_guard lock(mutex_);
    if (waiting_ >= most_waiting_ && inside_ + waiting_ >= slots_) return false;
    ++waiting_;
    return true;
  }
  // A slot, if one is free and nobody waits for it.
  bool EnterNow() {
    const std::lock_guard lock(mutex_);
    if (waiting_ > 0 || inside_ >= slots_) return false;
    ++inside_;
    return true;
  }
  // Waits for a slot, at most so long.
  bool Enter(std::chrono::milliseconds wait) {
    std::unique_lock lock(mutex_);
    if (!has_left_.wait_for(lock, wait, [this] { return inside_ < slots_; })) return false;
    --waiting_;
    ++inside_;
    return true;
  }
  void LeaveQueue() {
    const std::lock_guard lock(mutex_);
    --waiting_;
  }
  void Leave() {
    {
      const std::lock_guard lock(mutex_);
      --inside_;
    }
    has_left_.notify_one();
  }
  [[nodiscard]] std::size_t sessions() const {
    const std::lock_guard lock(mutex_);
    return inside_ + waiting_;
  }
  [[nodiscard]] std::size_t slots() const { return slots_; }

 private:
  const std::size_t slots_;
  const std::size_t most_waiting_;
  mutable std::mutex mutex_;
  std::condition_variable has_left_;
  std::size_t inside_ = 0;   // guarded by mutex_
  std::size_t waiting_ = 0;  // guarded by mutex_
};

}  // namespace zerocloud::remote
