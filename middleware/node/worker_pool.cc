#include "middleware/node/worker_pool.h"

#include "sandbox/runtime/wake_soon.h"

namespace zerocloud::node {

WorkerPool::WorkerPool(std::size_t threads) {
  for (std::size_t i = 0; i < threads; ++i) {
    threads_.emplace_back([this] { Loop(); });
  }
}

WorkerPool::~WorkerPool() {
  {
    const std::lock_guard lock(mutex_);
    is_closing_ = true;
  }
  has_work_.notify_all();
  for (std::thread& thread : threads_) thread.join();
}

WorkerPool::Ticket WorkerPool::Run(Task task) {
  Ticket ticket = 0;
  {
    const std::lock_guard lock(mutex_);
    ticket = ++last_ticket_;
    tasks_.emplace(ticket, std::move(task));
  }
  has_work_.notify_one();
  return ticket;
}

void WorkerPool::Remove(Ticket ticket) {
  decltype(tasks_)::node_type task;  // destroyed without the lock
  const std::lock_guard lock(mutex_);
  task = tasks_.extract(ticket);
}

std::size_t WorkerPool::queued() {
  const std::lock_guard lock(mutex_);
  return tasks_.size();
}

void WorkerPool::Loop() {
  runtime::WakeSoon();
  for (;;) {
    Task task;
    {
      std::unique_lock lock(mutex_);
      has_work_.wait(lock, [this] { return is_closing_ || !tasks_.empty(); });
      if (tasks_.empty()) return;
      task = std::move(tasks_.extract(tasks_.begin()).mapped());
    }
    task();
  }
}

}  // namespace zerocloud::node
