// A few threads for calls that block: the store, the spool, verifying programs.
#pragma once

#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
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

  using Ticket = std::uint64_t;
  // Tasks begin in the order they come. What is returned is for Remove(). Thread-safe, as the next.
  Ticket Run(Task task);
  // Destroys the task, with all it holds, unless it has begun.
  void Remove(Ticket ticket);
  // Tasks that have not begun.
  [[nodiscard]] std::size_t queued();

 private:
  void Loop();

  std::mutex mutex_;
  std::condition_variable has_work_;
  Ticket last_ticket_ = 0;
  std::map<Ticket, Task> tasks_;
  bool is_closing_ = false;
  std::vector<std::thread> threads_;
};

}  // namespace zerocloud::node
