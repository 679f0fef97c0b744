#include "middleware/operations/node_metrics.h"

#include <fmt/format.h>

#include <chrono>
#include <string_view>

#include "middleware/node/elsewhere.h"

namespace zerocloud::operations {
namespace {

constexpr auto kRelaxed = std::memory_order_relaxed;

class CountedSession : public node::RunningSession {
 public:
  CountedSession(std::unique_ptr<node::RunningSession> session, NodeMetrics& metrics)
      : session_(std::move(session)), metrics_(metrics) {
    metrics_.CountStarted();
  }
  CountedSession(const CountedSession&) = delete;
  CountedSession& operator=(const CountedSession&) = delete;
  // One that nobody waits for any more is killed here, and has no report.
  ~CountedSession() override {
    session_.reset();
    if (is_counted_) return;
    runtime::SessionReport report;
    report.cause = runtime::Cause::kKilled;
    report.wall_time = std::chrono::duration_cast<std::chrono::microseconds>(
        std::chrono::steady_clock::now() - started_);
    metrics_.CountEnded(report);
  }

  [[nodiscard]] int pidfd() const override { return session_->pidfd(); }
  [[nodiscard]] std::chrono::steady_clock::time_point deadline() const override {
    return session_->deadline();
  }
  void Kill(runtime::Cause cause) override { session_->Kill(cause); }
  runtime::SessionReport Collect() override {
    runtime::SessionReport report = session_->Collect();
    metrics_.CountEnded(report);
    is_counted_ = true;
    return report;
  }
  std::unique_ptr<node::ElsewhereEnd> TakeElsewhere() override { return session_->TakeElsewhere(); }

 private:
  std::unique_ptr<node::RunningSession> session_;
  NodeMetrics& metrics_;
  const std::chrono::steady_clock::time_point started_ = std::chrono::steady_clock::now();
  bool is_counted_ = false;
};

}  // namespace

NodeMetrics::NodeMetrics(std::string version, Statsd* statsd)
    : version_(std::move(version)),
      started_(std::time(nullptr)),
      sessions_(statsd, "node.session") {}

void NodeMetrics::CountEnded(const runtime::SessionReport& report) {
  --running_;
  sessions_.Count(report);
  for (const runtime::ChannelUsage& channel : report.channels) {
    read_bytes_.fetch_add(channel.get_bytes, kRelaxed);
    written_bytes_.fetch_add(channel.put_bytes, kRelaxed);
  }
}

std::string NodeMetrics::Text() const {
  std::string text;
  AppendStart(text, version_, started_);
  sessions_.AppendTo(text, "zerocloud_node_sessions_total", "zerocloud_node_session_seconds");
  const auto add = [&text](std::string_view name, std::uint64_t value) {
    AppendHead(text, name);
    text += fmt::format("{} {}\n", name, value);
  };
  add("zerocloud_node_read_bytes_total", read_bytes_.load(kRelaxed));
  add("zerocloud_node_written_bytes_total", written_bytes_.load(kRelaxed));
  add("zerocloud_node_sessions", running());
  AppendSources(text, sources_);
  return text;
}

Result<std::shared_ptr<const loader::Image>> CountingRunner::Load(
    std::span<const std::byte> program) {
  return runner_.Load(program);
}

Result<std::unique_ptr<node::RunningSession>> CountingRunner::Start(
    runtime::SessionRequest request) {
  auto session = runner_.Start(std::move(request));
  if (!session.has_value()) {
    metrics_.CountNotStarted();
    return Fail(session);
  }
  return std::make_unique<CountedSession>(std::move(*session), metrics_);
}

}  // namespace zerocloud::operations
