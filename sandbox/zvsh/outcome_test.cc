#include "sandbox/zvsh/outcome.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>

namespace zerocloud::zvsh {
namespace {

using testing::HasSubstr;

TEST(Outcome, IsReadFromAReport) {
  const auto outcome = ReadOutcome(
      R"({"status":4,"state":"Signal 11","validator":"passed","session":{"cause":"faulted",)"
      R"("signal":11,"channels":[{"alias":"x","signal":9,"cause":"no"}],"exit_code":-3}})");
  ASSERT_TRUE(outcome) << outcome.error().message;
  EXPECT_EQ(outcome->host_status, 4);
  EXPECT_EQ(outcome->state, "Signal 11");
  EXPECT_EQ(outcome->cause, "faulted");
  EXPECT_EQ(outcome->signal, 11);
  EXPECT_EQ(outcome->exit_code, -3);
}

TEST(Outcome, IsNotReadFromSomethingElse) {
  for (const char* text :
       {"", "{}", "[]", "{\"status\":", "null", "{\"session\":{\"status\":1}}"}) {
    EXPECT_FALSE(ReadOutcome(text)) << text;
  }
  EXPECT_FALSE(ReadOutcome("{\"status\":0,\"a\":" + std::string(100000, '[')));
}

TEST(Status, OfAGuestIsItsOwnCodeOrIsSaid) {
  for (const int code : {0, 1, 42, 123, 200, 255}) {
    const Verdict verdict = JudgeOutcome({.cause = "exited", .exit_code = code});
    EXPECT_EQ(verdict.status, code);
    EXPECT_EQ(verdict.sentence, "");
  }
  for (const std::int64_t code : {124, 125, 128, 160, 199, 256, 1234, -1, 2147483647}) {
    const Verdict verdict = JudgeOutcome({.cause = "exited", .exit_code = code});
    EXPECT_EQ(verdict.status, kStatusOtherCode);
    EXPECT_THAT(verdict.sentence, HasSubstr(std::to_string(code)));
  }
}

TEST(Status, SaysWhatTheHostSays) {
  const Verdict timeout = JudgeOutcome({.host_status = 4, .state = "s", .cause = "timed_out"});
  EXPECT_EQ(timeout.status, 124);
  EXPECT_THAT(timeout.sentence, HasSubstr("s\nERROR: ZeroVM return code is 4"));
  EXPECT_EQ(JudgeOutcome({.host_status = 4, .cause = "faulted", .signal = 11}).status, 139);
  EXPECT_EQ(JudgeOutcome({.host_status = 8}).status, 168);
  EXPECT_EQ(JudgeOutcome({.host_status = 93}).status, 199);
}

// Whatever happens, another thing that could have happened has another status.
TEST(Status, HasOneMeaning) {
  std::map<int, std::string> meanings;
  const auto add = [&meanings](const Outcome& outcome, const std::string& meaning) {
    const int status = JudgeOutcome(outcome).status;
    EXPECT_GE(status, 0);
    EXPECT_LT(status, 256);
    const auto [at, is_new] = meanings.emplace(status, meaning);
    EXPECT_TRUE(is_new || at->second == meaning) << status << ": " << meaning << ", " << at->second;
  };
  for (int code = -300; code < 300; ++code) {
    const bool is_own = (code >= 0 && code < 124) || (code >= 200 && code < 256);
    add({.cause = "exited", .exit_code = code},
        is_own ? "code " + std::to_string(code) : "another code");
  }
  for (int signal = 1; signal < 32; ++signal) {
    add({.host_status = 4, .cause = "faulted", .signal = signal},
        "signal " + std::to_string(signal));
  }
  add({.host_status = 4, .cause = "timed_out"}, "timeout");
  for (int host = 1; host < 128; ++host) {
    add({.host_status = host}, host < 39 ? "host " + std::to_string(host) : "host, larger");
  }
}

}  // namespace
}  // namespace zerocloud::zvsh
