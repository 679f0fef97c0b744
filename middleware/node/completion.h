// Completion: the one call of a job's `done`. Private to this folder.
#pragma once

#include <condition_variable>
#include <functional>
#include <mutex>
#include <thread>
#include <utility>

#include "middleware/node/job_result.h"

namespace zerocloud::node {

// Calls `done` at most once, and never after Cancel() has returned.
class Completion {
 public:
  explicit Completion(std::function<void(JobResult)> done) : done_(std::move(done)) {}

  void Call(JobResult result) {
    std::function<void(JobResult)> done;
    {
      const std::lock_guard lock(mutex_);
      done = std::exchange(done_, nullptr);
      if (!done) return;
      caller_ = std::this_thread::get_id();
    }
    done(std::move(result));
    done = nullptr;  // with everything it holds, before Cancel() may go on
    {
      const std::lock_guard lock(mutex_);
      caller_ = {};
    }
    has_returned_.notify_all();
  }
  void Cancel() {
    std::unique_lock lock(mutex_);
    done_ = nullptr;
    // `done` itself may destroy the handle.
    if (caller_ == std::this_thread::get_id()) return;
    has_returned_.wait(lock, [this] { return caller_ == std::thread::id(); });
  }

 private:
  std::mutex mutex_;
  std::condition_variable has_returned_;
  std::function<void(JobResult)> done_;
  std::thread::id caller_;
};

}  // namespace zerocloud::node
