#include "sandbox/runtime/report.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <rapidjson/memorystream.h>
#include <rapidjson/reader.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <fstream>
#include <iterator>
#include <string>

#include "sandbox/include/zvm.h"

namespace zerocloud::runtime {
namespace {

using channels::HostStatus;
using testing::HasSubstr;

SessionReport Exited() {
  SessionReport session;
  session.cause = Cause::kExited;
  session.exit_code = 1234;
  session.channels.resize(3);
  ChannelUsage& in = session.channels[0];
  in.alias = "/dev/stdin";
  in.gets = 2;
  in.get_bytes = 65;
  in.digest = "aa11";
  ChannelUsage& out = session.channels[1];
  out.alias = "/dev/stdout";
  out.puts = 3;
  out.put_bytes = out.size = 60;
  ChannelUsage& err = session.channels[2];
  err.alias = "/dev/stderr";
  err.puts = 1;
  err.put_bytes = err.size = 5;
  err.digest = "bb22";
  session.system_time = std::chrono::microseconds(1'234'000);
  session.user_time = std::chrono::microseconds(56'000);
  session.wall_time = std::chrono::microseconds(2'000'000);
  return session;
}

RunReport Report(const SessionReport& session) {
  return {.validator = ValidatorState::kPassed,
          .status = StatusOf(session),
          .state = StateOf(session),
          .session = session,
          .cause = CauseOf(session)};
}

bool IsValidJson(const std::string& json) {
  rapidjson::MemoryStream stream(json.data(), json.size());
  rapidjson::BaseReaderHandler<> ignore;
  rapidjson::Reader reader;
  return !reader.Parse<rapidjson::kParseValidateEncodingFlag>(stream, ignore).IsError();
}

TEST(Report, TextHasSixLinesAndAnEmptyOne) {
  SessionReport session = Exited();
  session.memory_digest = "cc33";
  EXPECT_EQ(RenderText(Report(session)),
            "0\n0\n1234\n/dev/stdin aa11 /dev/stderr bb22 /dev/memory cc33\n"
            "1.23 0.06 2 65 4 65 0 0 0 0\nok\n\n");
}

TEST(Report, TextWithoutDigestsSaysDisabled) {
  SessionReport session;
  session.cause = Cause::kExited;
  EXPECT_EQ(RenderText(Report(session)), "0\n0\n0\ndisabled\n0.00 0.00 0 0 0 0 0 0 0 0\nok\n\n");
}

TEST(Report, FailureBeforeTheSessionIsAReportToo) {
  RunReport report;
  report.status = HostStatus::kManifest;
  report.cause = kCauseManifestInvalid;
  report.state = "MANIFEST 3: Memory: tag 'x\ry\nz' is neither 0 nor 1";
  EXPECT_EQ(RenderText(report),
            "2\n0\n0\ndisabled\n0.00 0.00 0 0 0 0 0 0 0 0\n"
            "MANIFEST 3: Memory: tag 'x?y?z' is neither 0 nor 1\n\n");
  EXPECT_EQ(RenderJson(report),
            R"({"status":14,"status_name":"manifest","cause":"manifest_invalid",)"
            R"("state":"MANIFEST 3: Memory: tag 'x?y?z' is neither 0 nor 1",)"
            R"("validator":"not_run"})"
            "\n");
}

TEST(Report, EveryCauseHasItsStatusAndState) {
  struct {
    Cause cause;
    HostStatus status;
    const char* state;
  } const kCases[] = {
      {Cause::kExited, HostStatus::kOk, "ok"},
      {Cause::kFaulted, HostStatus::kInterrupted,
       "Signal 11 from untrusted code: Halting at 0x400020 (main+0x12)"},
      {Cause::kTimedOut, HostStatus::kInterrupted, "session timeout"},
      {Cause::kKilled, HostStatus::kInterrupted, "why"},
      {Cause::kViolated, HostStatus::kInterrupted, "why"},
      {Cause::kChannelIo, HostStatus::kIo, "why"},
      {Cause::kHostError, HostStatus::kIo, "why"},
      {Cause::kForked, HostStatus::kOk, "ok"},
      {Cause::kCpuLimit, HostStatus::kInterrupted, "why"},
      {Cause::kMemoryLimit, HostStatus::kInterrupted, "why"},
  };
  for (const auto& expected : kCases) {
    SessionReport session;
    session.cause = expected.cause;
    session.message = "why";
    session.signal = SIGSEGV;
    session.guest_pc = 0x400020;
    session.symbol = "main+0x12";
    EXPECT_EQ(StatusOf(session), expected.status) << expected.state;
    EXPECT_EQ(StateOf(session), expected.state);
  }
}

TEST(Report, JsonTellsEverything) {
  SessionReport session = Exited();
  session.cause = Cause::kFaulted;
  session.signal = SIGSEGV;
  session.guest_pc = 0x400020;
  session.fault_address = 8;
  session.symbol = "main+0x12";
  session.channels[0].hit_get_limit = true;
  session.channels[1].hit_put_limit = true;
  session.wall_time = std::chrono::microseconds(3);
  RunReport report = Report(session);
  report.status = HostStatus::kInterrupted;
  report.state = "faulted";
  report.channels.resize(3);
  report.channels[0].limits = {.gets = 2, .get_size = 100, .puts = 0, .put_size = 0};
  report.channels[1].limits = {.gets = 0, .get_size = 0, .puts = 9, .put_size = 60};
  report.warnings = {{7, "ignored: there is no key 'x'"}};
  const std::string json = RenderJson(report);
  EXPECT_TRUE(IsValidJson(json));
  EXPECT_EQ(
      json,
      R"({"status":4,"status_name":"interrupted","cause":"faulted","state":"faulted","validator":"passed",)"
      R"("session":{)"
      R"("cause":"faulted","signal":11,"pc":"0x400020","fault_address":"0x8","symbol":"main+0x12",)"
      R"("limits_hit":[{"channel":"/dev/stdin","limit":"gets","value":2},)"
      R"({"channel":"/dev/stdout","limit":"put_size","value":60}],)"
      R"("system_time_us":1234000,"user_time_us":56000,"wall_time_us":3,)"
      R"("local":{"reads":2,"read_bytes":65,"writes":4,"written_bytes":65},)"
      R"("network":{"reads":0,"read_bytes":0,"writes":0,"written_bytes":0},"digest_kind":"sha1",)"
      R"("channels":[{"alias":"/dev/stdin","gets":2,"get_bytes":65,"puts":0,"put_bytes":0,"size":0,)"
      R"("digest":"aa11","limits":{"gets":2,"get_size":100,"puts":0,"put_size":0}},)"
      R"({"alias":"/dev/stdout","gets":0,"get_bytes":0,"puts":3,"put_bytes":60,"size":60,)"
      R"("limits":{"gets":0,"get_size":0,"puts":9,"put_size":60}},)"
      R"({"alias":"/dev/stderr","gets":0,"get_bytes":0,"puts":1,"put_bytes":5,"size":5,)"
      R"("digest":"bb22","limits":{"gets":0,"get_size":0,"puts":0,"put_size":0}}]},)"
      R"("stderr_tail":"","warnings":[{"line":7,"message":"ignored: there is no key 'x'"}]})"
      "\n");
}

TEST(Report, NetworkIsAccountedApartAndEverySourceCounts) {
  SessionReport session = Exited();
  RunReport report = Report(session);
  report.channels.resize(3);
  report.channels[0] = {.sources = {"tcp:1.2.3.4:5", "/in"}, .alias = "/dev/stdin"};
  report.channels[1] = {.sources = {"/a", "/b", "tcp:7:"}, .alias = "/dev/stdout"};
  report.channels[2] = {.sources = {"/dev/null"}, .alias = "/dev/stderr"};
  report.links = {{.channel = 0, .source = 0, .is_reader = true, .drained = 70'000}};
  EXPECT_THAT(RenderText(report), HasSubstr("\n1.23 0.06 2 65 7 125 4 70065 3 60\n"));
}

TEST(Report, JsonTellsOfLinksSourcesAndThePeople) {
  SessionReport session = Exited();
  session.channels[0].source_count = 3;
  session.channels[0].failed_sources = 1;
  session.channels[0].outvoted_sources = 4;
  session.stderr_tail = "last words";
  RunReport report = Report(session);
  report.channels.resize(3);
  report.channels[0].alias = "/dev/stdin";
  report.links = {{.is_reader = true, .bytes = 9, .error = "broken off"},
                  {.source = 1, .bytes = 5, .is_complete = true, .digest = "ab"}};
  report.node = 7;
  report.program_digest = "dd";
  report.is_cached_verdict = true;
  const std::string json = RenderJson(report);
  EXPECT_TRUE(IsValidJson(json)) << json;
  EXPECT_THAT(json, HasSubstr(R"("sources":3,"failed_sources":[0],"outvoted_sources":[2])"));
  EXPECT_THAT(json, HasSubstr(R"("links":[{"source":"/dev/stdin;0","direction":"in","bytes":9,)"
                              R"("drained_bytes":0,"error":"broken off"},)"
                              R"({"source":"/dev/stdin;1","direction":"out","bytes":5,)"
                              R"("sha256":"ab"}])"));
  EXPECT_THAT(json, HasSubstr(R"("node":7)"));
  EXPECT_THAT(json, HasSubstr(R"("program":{"sha256":"dd","cached_verdict":true})"));
  EXPECT_THAT(json, HasSubstr(R"("stderr_tail":"last words")"));
}

TEST(Report, TimeoutAndDiskQuotaAreLimits) {
  SessionReport session = Exited();
  session.cause = Cause::kTimedOut;
  RunReport report = Report(session);
  report.timeout_seconds = 5;
  EXPECT_THAT(RenderJson(report), HasSubstr(R"("limits_hit":[{"limit":"timeout","value":5}])"));
  session.cause = Cause::kCpuLimit;
  report.session = session;
  report.cpu_limit = std::chrono::microseconds(7000);
  EXPECT_THAT(RenderJson(report), HasSubstr(R"("limits_hit":[{"limit":"cpu_us","value":7000}])"));
  session.cause = Cause::kMemoryLimit;
  report.session = session;
  report.memory_limit = 8192;
  EXPECT_THAT(RenderJson(report),
              HasSubstr(R"("limits_hit":[{"limit":"resident_bytes","value":8192}])"));
  session.cause = Cause::kChannelIo;
  session.host_errno = EFBIG;
  EXPECT_EQ(StatusOf(session), HostStatus::kInterrupted);
  EXPECT_EQ(StateOf(session), "disk quota exceeded");
  EXPECT_EQ(CauseOf(session), kCauseDiskQuota);
}

TEST(Report, JsonTellsWhatTheSessionMayHave) {
  SessionReport session = Exited();
  session.peak_memory = 4096;
  RunReport report = Report(session);
  report.memory_size = 67108864;
  report.timeout_seconds = 5;
  report.mapped = {{"/dev/stdin", true}, {"/dev/stdout", false}};
  report.has_readiness = true;
  std::string json = RenderJson(report);
  EXPECT_TRUE(IsValidJson(json)) << json;
  EXPECT_THAT(json,
              HasSubstr(R"("limits":{"memory_bytes":67108864,"timeout_s":5},"readiness":true,)"));
  EXPECT_THAT(json, HasSubstr(R"({"alias":"/dev/stdin","mapped":"immutable",)"));
  EXPECT_THAT(json, HasSubstr(R"({"alias":"/dev/stdout","mapped":"copied",)"));
  EXPECT_THAT(json, HasSubstr(R"({"alias":"/dev/stderr","gets")"));
  EXPECT_THAT(json, HasSubstr(R"("peak_memory_bytes":4096,)"));
  report.cpu_limit = std::chrono::microseconds(7);
  report.memory_limit = 9;
  EXPECT_THAT(RenderJson(report), HasSubstr(R"("timeout_s":5,"cpu_us":7,"resident_bytes":9})"));
}

TEST(Report, EveryCauseOfASessionIsListed) {
  for (int i = 0; i <= static_cast<int>(Cause::kMemoryLimit); ++i) {
    const std::string_view name = ToString(static_cast<Cause>(i));
    EXPECT_NE(std::ranges::find(kRunCauses, name, &RunCause::name), std::end(kRunCauses)) << name;
  }
}

TEST(Report, ManualListsEveryCauseAndStatus) {
  std::ifstream file(ZEROCLOUD_MANIFEST_MANUAL);
  const std::string manual{std::istreambuf_iterator<char>(file), {}};
  ASSERT_FALSE(manual.empty());
  for (const RunCause& cause : kRunCauses) {
    EXPECT_TRUE(manual.contains("\n| `" + std::string(cause.name) + "` | " +
                                std::string(cause.meaning) + " |\n"))
        << cause.name;
  }
  for (const channels::HostStatusRow& row : channels::kHostStatuses) {
    EXPECT_TRUE(manual.contains("\n| " + std::to_string(static_cast<int>(row.status)) + " | " +
                                std::string(row.name) + " | "))
        << row.name;
  }
}

TEST(Report, TraceShowsStagesAndCallsInTheirOrder) {
  using std::chrono::microseconds;
  SessionReport session = Exited();
  session.trace = {{.number = ZVM_CALL_PREAD,
                    .arguments = {0, 0x400000, 10, 5},
                    .start = microseconds(10),
                    .end = microseconds(30),
                    .result = -9},
                   {.number = ZVM_CALL_EXIT, .arguments = {3}, .start = microseconds(40)}};
  session.untraced_calls = 2;
  RunReport report = Report(session);
  report.session_start = microseconds(1000);
  report.stages = {{"session started", microseconds(1001)}, {"session ended", microseconds(2000)}};
  EXPECT_EQ(RenderTrace(report),
            "0.001001 [0.001001]: session started\n"
            "0.001010 [0.000009]: untrusted code\n"
            "0.001030 [0.000020]: pread(0, 0x400000, 10, 5) = -9\n"
            "0.001040 [0.000010]: untrusted code\n"
            "0.001040 [0.000000]: exit(3)\n"
            "0.002000 [0.000960]: session ended\n"
            "2 more calls were not noted\n");
}

// On a busy host the session may be in its first call before its parent notes that it started.
TEST(Report, TraceShowsAStageNotedInTheMiddleOfACallThere) {
  using std::chrono::microseconds;
  SessionReport session = Exited();
  session.trace = {{.number = ZVM_CALL_PREAD,
                    .arguments = {0, 0x400000, 10, 5},
                    .start = microseconds(10),
                    .end = microseconds(300),
                    .result = 10}};
  RunReport report = Report(session);
  report.session_start = microseconds(1000);
  report.stages = {{"session started", microseconds(1100)}, {"session ended", microseconds(2000)}};
  EXPECT_EQ(RenderTrace(report),
            "0.001010 [0.001010]: untrusted code\n"
            "0.001100 [0.000090]: session started\n"
            "0.001300 [0.000200]: pread(0, 0x400000, 10, 5) = 10\n"
            "0.002000 [0.000700]: session ended\n");
}

TEST(Report, JsonIsValidForEveryByte) {
  const std::string kBad[] = {"\xff",         "\xc0\x80",         "\xe0\x80\x80",
                              "\xed\xa0\x80", "\xf4\x90\x80\x80", "\xf0\x80\x80\x80",
                              "\xc3",         "\xe2\x82",         "\xf5\x80\x80\x80",
                              "\x80"};
  for (const std::string& bad : kBad) {
    RunReport report;
    report.state = "a" + bad + "z\"\\\n";
    EXPECT_TRUE(IsValidJson(RenderJson(report)));
    EXPECT_THAT(RenderJson(report), HasSubstr("\xef\xbf\xbd"));
  }
  RunReport report;
  report.state = "\xc3\xa9 \xe2\x82\xac \xf0\x9f\x98\x80";
  EXPECT_THAT(RenderJson(report), HasSubstr(report.state));
}

}  // namespace
}  // namespace zerocloud::runtime
