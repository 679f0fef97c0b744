// Metrics: what the operator of `zerocloud serve` counts, in the text format of Prometheus, and
// sent to StatsD as it happens. For `zerocloud node`: node_metrics.h.
//
// Counting is a handful of relaxed atomic additions, without locks and without memory; so that is
// what a request pays.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <ctime>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "middleware/node/job_result.h"
#include "middleware/operations/exposition.h"
#include "middleware/operations/session_counts.h"
#include "middleware/server/server.h"

namespace zerocloud::operations {

class Metrics {
 public:
  // `statsd` may be null; else it outlives this.
  Metrics(std::string version, Statsd* statsd);
  Metrics(const Metrics&) = delete;
  Metrics& operator=(const Metrics&) = delete;

  // Thread-safe.
  void Count(const server::RequestRecord& record);
  void Count(const node::JobResult& result);

  // Before the first Text().
  void AddSource(Source source) { sources_.push_back(std::move(source)); }

  // Everything, as Prometheus reads it. Thread-safe.
  [[nodiscard]] std::string Text() const;

  // Resources that a request is for, and methods; the last of each is "other".
  static constexpr std::array<std::string_view, 5> kTypes = {"account", "container", "object",
                                                             "job", "other"};
  static constexpr std::array<std::string_view, 8> kMethods = {
      "GET", "HEAD", "POST", "PUT", "DELETE", "COPY", "OPTIONS", "other"};

 private:
  static constexpr std::size_t kStatuses = 600;
  using Counter = std::atomic<std::uint64_t>;

  void AppendRequests(std::string& text) const;
  void AppendJobs(std::string& text) const;

  const std::string version_;
  Statsd* const statsd_;
  const std::time_t started_;
  std::vector<Source> sources_;

  std::array<std::array<std::array<Counter, kStatuses>, kMethods.size()>, kTypes.size()>
      requests_{};
  std::array<Histogram, kTypes.size()> request_seconds_;
  Counter bytes_in_{0}, bytes_out_{0};
  std::array<Counter, kStatuses> jobs_{};
  Histogram job_seconds_;
  SessionCounts sessions_;
  Counter local_{0}, remote_{0};
};

}  // namespace zerocloud::operations
