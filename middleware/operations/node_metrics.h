// NodeMetrics: what the operator of `zerocloud node` counts, in the text format of Prometheus, and
// sent to StatsD as it happens. CountingRunner does the counting: a node's sessions all go through
// its runner.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <ctime>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "middleware/node/runner.h"
#include "middleware/operations/exposition.h"
#include "middleware/operations/session_counts.h"

namespace zerocloud::operations {

class NodeMetrics {
 public:
  // `statsd` may be null; else it outlives this.
  NodeMetrics(std::string version, Statsd* statsd);
  NodeMetrics(const NodeMetrics&) = delete;
  NodeMetrics& operator=(const NodeMetrics&) = delete;

  // Thread-safe.
  void CountStarted() { ++running_; }
  void CountNotStarted() { sessions_.CountNotStarted(); }
  void CountEnded(const runtime::SessionReport& report);
  [[nodiscard]] std::size_t running() const { return running_; }

  // Before the first Text().
  void AddSource(Source source) { sources_.push_back(std::move(source)); }
  // Everything, as Prometheus reads it. Thread-safe.
  [[nodiscard]] std::string Text() const;

 private:
  const std::string version_;
  const std::time_t started_;
  std::vector<Source> sources_;
  SessionCounts sessions_;
  std::atomic<std::size_t> running_ = 0;
  std::atomic<std::uint64_t> read_bytes_ = 0, written_bytes_ = 0;
};

// A runner that counts what another one runs. Thread-safe where that one is.
class CountingRunner : public node::Runner {
 public:
  // Both outlive it and its sessions.
  CountingRunner(node::Runner& runner, NodeMetrics& metrics) : runner_(runner), metrics_(metrics) {}
  Result<std::shared_ptr<const loader::Image>> Load(std::span<const std::byte> program) override;
  Result<std::unique_ptr<node::RunningSession>> Start(runtime::SessionRequest request) override;

 private:
  node::Runner& runner_;
  NodeMetrics& metrics_;
};

}  // namespace zerocloud::operations
