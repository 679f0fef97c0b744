// Metrics: what an operator counts, in the text format of Prometheus (version 0.0.4), and sent to
// StatsD as it happens.
//
// Counting is a handful of relaxed atomic additions, without locks and without memory; so that is
// what a request pays. No name of an account, object or program becomes a label: the number of time
// series is bounded by the table in metrics.cc, the methods and the statuses.
#pragma once

#include <array>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <ctime>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <tuple>
#include <utility>
#include <vector>

#include "middleware/node/job_result.h"
#include "middleware/server/server.h"

namespace zerocloud::operations {

class Statsd;

// How long things took. Buckets in seconds, up to infinity.
class Histogram {
 public:
  static constexpr std::array<double, 12> kBounds = {0.001, 0.0025, 0.005, 0.01, 0.025, 0.05,
                                                     0.1,   0.25,   1,     5,    30,    300};
  void Add(std::chrono::microseconds duration);
  // The lines of one series; `labels` is "a=\"b\"," or empty.
  void AppendTo(std::string& text, std::string_view name, std::string_view labels) const;
  [[nodiscard]] bool is_empty() const;

 private:
  std::array<std::atomic<std::uint64_t>, kBounds.size() + 1> counts_{};
  std::atomic<std::uint64_t> microseconds_{0};
};

// One metric as people see it.
struct MetricDescription {
  std::string_view name;
  std::string_view type;  // "counter", "gauge" or "histogram"
  std::string_view labels;
  std::string_view help;
};
std::span<const MetricDescription> DescribeMetrics();
// The list in docs/operations.md, as Markdown.
std::string MetricsManual();

class Metrics {
 public:
  // `statsd` may be null; else it outlives this.
  Metrics(std::string version, Statsd* statsd);
  Metrics(const Metrics&) = delete;
  Metrics& operator=(const Metrics&) = delete;

  // Thread-safe.
  void Count(const server::RequestRecord& record);
  void Count(const node::JobResult& result);

  // Values that are asked for when somebody reads: each is a name of the table, labels
  // ("state=\"idle\"" or nothing) and a number. Before the first Text().
  using Sample = std::tuple<std::string_view, std::string, double>;
  void AddSource(std::function<void(std::vector<Sample>&)> source);

  // Everything, as Prometheus reads it. Thread-safe.
  [[nodiscard]] std::string Text() const;

  // Resources that a request is for, and methods; the last of each is "other".
  static constexpr std::array<std::string_view, 5> kTypes = {"account", "container", "object",
                                                             "job", "other"};
  static constexpr std::array<std::string_view, 8> kMethods = {
      "GET", "HEAD", "POST", "PUT", "DELETE", "COPY", "OPTIONS", "other"};

 private:
  static constexpr std::size_t kStatuses = 600;
  static constexpr std::size_t kCauses = 32;
  using Counter = std::atomic<std::uint64_t>;

  void AppendRequests(std::string& text) const;
  void AppendJobs(std::string& text) const;
  void AppendSources(std::string& text) const;

  const std::string version_;
  Statsd* const statsd_;
  const std::time_t started_;
  std::vector<std::function<void(std::vector<Sample>&)>> sources_;

  std::array<std::array<std::array<Counter, kStatuses>, kMethods.size()>, kTypes.size()>
      requests_{};
  std::array<Histogram, kTypes.size()> request_seconds_;
  Counter bytes_in_{0}, bytes_out_{0};
  std::array<Counter, kStatuses> jobs_{};
  Histogram job_seconds_;
  std::array<Counter, kCauses> sessions_{};
  Counter sessions_not_started_{0};
  Histogram session_seconds_;
  Counter local_{0}, remote_{0};
};

}  // namespace zerocloud::operations
