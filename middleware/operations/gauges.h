// Gauges: tells a StatsD server again and again how much there is of things, since datagrams are
// lost and servers forget. A thread of its own.
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include "channels/base/result.h"
#include "middleware/operations/statsd.h"

namespace zerocloud::operations {

class Gauges {
 public:
  using Values = std::vector<std::pair<std::string_view, std::uint64_t>>;  // by name
  // `read` is called at once and then every `interval`, by the thread. `statsd` outlives it.
  static Result<std::unique_ptr<Gauges>> Start(const Statsd& statsd, std::function<Values()> read,
                                               std::chrono::milliseconds interval);
  Gauges(const Gauges&) = delete;
  Gauges& operator=(const Gauges&) = delete;
  ~Gauges();

 private:
  Gauges(const Statsd& statsd, std::function<Values()> read, std::chrono::milliseconds interval)
      : statsd_(statsd), read_(std::move(read)), interval_(interval) {}
  void Run();

  const Statsd& statsd_;
  const std::function<Values()> read_;
  const std::chrono::milliseconds interval_;
  std::mutex mutex_;
  std::condition_variable stops_;
  bool is_stopping_ = false;  // guarded by mutex_
  std::thread thread_;
};

}  // namespace zerocloud::operations
