#include "middleware/operations/node_metrics.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <optional>

namespace zerocloud::operations {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

// Each session ends as the runner says when it starts.
class EndedSession : public node::RunningSession {
 public:
  explicit EndedSession(runtime::SessionReport report) : report_(std::move(report)) {}
  [[nodiscard]] int pidfd() const override { return -1; }
  [[nodiscard]] std::chrono::steady_clock::time_point deadline() const override { return {}; }
  void Kill(runtime::Cause cause) override { report_.cause = cause; }
  runtime::SessionReport Collect() override { return report_; }

 private:
  runtime::SessionReport report_;
};

class RunnerOfEnded : public node::Runner {
 public:
  std::optional<Error> error;
  runtime::SessionReport report;

  Result<std::shared_ptr<const loader::Image>> Load(std::span<const std::byte>) override {
    return nullptr;
  }
  Result<std::unique_ptr<node::RunningSession>> Start(runtime::SessionRequest) override {
    if (error) return Fail(error->code, error->message);
    return std::make_unique<EndedSession>(report);
  }
};

class NodeMetricsTest : public ::testing::Test {
 protected:
  std::unique_ptr<node::RunningSession> Start() {
    auto session = counting.Start({});
    return session ? std::move(*session) : nullptr;
  }

  RunnerOfEnded runner;
  NodeMetrics metrics{"1", nullptr};
  CountingRunner counting{runner, metrics};
};

TEST_F(NodeMetricsTest, CountSessionsByHowTheyEndAndTheirBytes) {
  runner.report.cause = runtime::Cause::kExited;
  runner.report.wall_time = std::chrono::milliseconds(20);
  runner.report.channels.resize(2);
  runner.report.channels[0].get_bytes = 100;
  runner.report.channels[1].get_bytes = 11;
  runner.report.channels[1].put_bytes = 7;
  const auto one = Start();
  const auto other = Start();
  EXPECT_THAT(metrics.Text(), HasSubstr("\nzerocloud_node_sessions 2\n"));
  one->Collect();
  other->Kill(runtime::Cause::kTimedOut);
  other->Collect();
  const std::string text = metrics.Text();
  EXPECT_THAT(text, HasSubstr("\nzerocloud_node_sessions 0\n"));
  EXPECT_THAT(text, HasSubstr("zerocloud_node_sessions_total{cause=\"exited\"} 1\n"));
  EXPECT_THAT(text, HasSubstr("zerocloud_node_sessions_total{cause=\"timed_out\"} 1\n"));
  EXPECT_THAT(text, HasSubstr("zerocloud_node_sessions_total{cause=\"not_started\"} 0\n"));
  EXPECT_THAT(text, HasSubstr("zerocloud_node_session_seconds_sum 0.04\n"));
  EXPECT_THAT(text, HasSubstr("\nzerocloud_node_read_bytes_total 222\n"));
  EXPECT_THAT(text, HasSubstr("\nzerocloud_node_written_bytes_total 14\n"));
}

TEST_F(NodeMetricsTest, ASessionThatNobodyCollectsWasKilledAndCountsOnce) {
  runner.report.cause = runtime::Cause::kExited;
  Start().reset();
  auto collected = Start();
  collected->Collect();
  collected.reset();
  const std::string text = metrics.Text();
  EXPECT_THAT(text, HasSubstr("zerocloud_node_sessions_total{cause=\"killed\"} 1\n"));
  EXPECT_THAT(text, HasSubstr("zerocloud_node_sessions_total{cause=\"exited\"} 1\n"));
  EXPECT_THAT(text, HasSubstr("\nzerocloud_node_sessions 0\n"));
}

TEST_F(NodeMetricsTest, ASessionThatCannotStartIsCountedAndItsErrorStays) {
  runner.error = Error{ErrorCode::kUnavailable, "no process"};
  const auto session = counting.Start({});
  ASSERT_FALSE(session.has_value());
  EXPECT_EQ(session.error().message, "no process");
  const std::string text = metrics.Text();
  EXPECT_THAT(text, HasSubstr("zerocloud_node_sessions_total{cause=\"not_started\"} 1\n"));
  EXPECT_THAT(text, HasSubstr("\nzerocloud_node_sessions 0\n"));
}

// Else sums over all of a cluster's processes would count each session twice.
TEST_F(NodeMetricsTest, HaveOtherNamesThanTheProxys) {
  metrics.AddSource(
      [](std::vector<Sample>& samples) { samples.emplace_back("zerocloud_node_holds", "", 3); });
  const std::string text = metrics.Text();
  EXPECT_THAT(text, StartsWith("# HELP zerocloud_info "));
  EXPECT_THAT(text, HasSubstr("\nzerocloud_node_holds 3\n"));
  EXPECT_THAT(text, Not(HasSubstr("zerocloud_sessions")));
  EXPECT_THAT(text, Not(HasSubstr("zerocloud_jobs")));
}

}  // namespace
}  // namespace zerocloud::operations
