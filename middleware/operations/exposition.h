// Exposition: how metrics look to those who read them, the text format of Prometheus (version
// 0.0.4), and the table of all there are, those of `zerocloud serve` and those of `zerocloud node`.
//
// No name of an account, object or program becomes a label: the number of time series is bounded
// by the table, the methods, the statuses and the causes.
#pragma once

#include <array>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <ctime>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <tuple>
#include <vector>

namespace zerocloud::operations {

// How long things took. Buckets in seconds, up to infinity. Thread-safe, without locks.
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

// The lines before the samples of a metric of the table.
void AppendHead(std::string& text, std::string_view name);
// What every process tells first: its version and when it started.
void AppendStart(std::string& text, std::string_view version, std::time_t started);

// Values that are asked for when somebody reads: each is a name of the table, labels
// ("state=\"idle\"" or nothing) and a number.
using Sample = std::tuple<std::string_view, std::string, double>;
using Source = std::function<void(std::vector<Sample>&)>;
void AppendSources(std::string& text, std::span<const Source> sources);

}  // namespace zerocloud::operations
