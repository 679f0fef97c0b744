// A few threads for calls that block: the store, the spool, verifying programs.
#pragma once

#include <condition_variable>
#include <deque>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

namespace zerocloud::node {

class WorkerPool {
 public:
  using Task = std::move_only_function<void()>;

  explicit WorkerPool(std::size_t threads);
  WorkerPool(const WorkerPool&) = delete;
  WorkerPool& operator=(const WorkerPool&) = delete;
  // Runs what is queued, then joins.
  ~WorkerPool();

  void Run(Task task);

 private:
  void Loop();

  std::mutex mutex_;
  std::condition_variable has_work_;
  std::deque<Task> tasks_;
  bool is_closing_ = false;
  std::vector<std::thread> threads_;
};

}  // namespace zerocloud::node
