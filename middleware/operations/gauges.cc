#include "middleware/operations/gauges.h"

#include <fmt/format.h>

#include <system_error>

namespace zerocloud::operations {

Result<std::unique_ptr<Gauges>> Gauges::Start(const Statsd& statsd, std::function<Values()> read,
                                              std::chrono::milliseconds interval) {
  std::unique_ptr<Gauges> gauges(new Gauges(statsd, std::move(read), interval));
  try {
    gauges->thread_ = std::thread([raw = gauges.get()] { raw->Run(); });
  } catch (const std::system_error& error) {
    return Fail(ErrorCode::kUnavailable, fmt::format("no thread for gauges: {}", error.what()));
  }
  return gauges;
}

Gauges::~Gauges() {
  {
    const std::lock_guard lock(mutex_);
    is_stopping_ = true;
  }
  stops_.notify_all();
  if (thread_.joinable()) thread_.join();
}

void Gauges::Run() {
  std::unique_lock lock(mutex_);
  do {
    lock.unlock();
    for (const auto& [name, value] : read_()) statsd_.Gauge(name, value);
    lock.lock();
  } while (!stops_.wait_for(lock, interval_, [this] { return is_stopping_; }));
}

}  // namespace zerocloud::operations
