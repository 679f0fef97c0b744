// The zerovm program end to end: manifests in, files, reports and exit codes out, with real guests
// from sandbox/testdata/channels.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <array>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

#include "sandbox/runtime/zerovm_fixture.h"

namespace zerocloud::runtime {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

// --- Exit codes ---

TEST_F(Zerovm, GoodManifestEndsWithZero) {
  const Outcome run = Start();
  EXPECT_EQ(run.exit_code, 0) << run.output;
  EXPECT_EQ(run.lines[5], "ok");
}

TEST_F(Zerovm, BadProgramsHaveTheirExitCodes) {
  EXPECT_EQ(CodeWith(&ManifestText::program, "Program = " + Path("none")), 2);
  EXPECT_EQ(CodeWith(&ManifestText::program, "Program = /none/none"), 2);
  EXPECT_EQ(CodeWith(&ManifestText::program, "Program = /dev/zero"), 5);
  EXPECT_EQ(CodeWith(&ManifestText::program, "Program = " + directory_), 5);
  EXPECT_EQ(CodeWith(&ManifestText::program, "Program = " + Write("text", "no program")), 8);
  EXPECT_EQ(CodeWith(&ManifestText::program, "Program = " + Write("nothing", "")), 8);
  EXPECT_EQ(CodeWith(&ManifestText::program, "Program = /proc/self/exe"), 8);
  EXPECT_EQ(CodeWith(&ManifestText::program, ""), 14);
}

TEST_F(Zerovm, BadKeysHaveTheirExitCodes) {
  EXPECT_EQ(CodeWith(&ManifestText::version, ""), 14);
  EXPECT_EQ(CodeWith(&ManifestText::version, "Version = 20140509"), 14);
  EXPECT_EQ(CodeWith(&ManifestText::memory, "Memory = 0, 0"), 12);
  EXPECT_EQ(CodeWith(&ManifestText::memory, "Memory = 4294967297, 0"), 12);
  EXPECT_EQ(CodeWith(&ManifestText::memory, "Memory = 16777217, 0"), 12);
  EXPECT_EQ(CodeWith(&ManifestText::memory, "Memory = 67108864, 2"), 14);
  EXPECT_EQ(CodeWith(&ManifestText::memory, "Memory = 67108864"), 14);
  EXPECT_EQ(CodeWith(&ManifestText::timeout, "Timeout = 0"), 14);
  EXPECT_EQ(CodeWith(&ManifestText::timeout, "Timeout = -1"), 14);
  EXPECT_EQ(CodeWith(&ManifestText::more, "Node = 0"), 14);
  EXPECT_EQ(CodeWith(&ManifestText::more, "NameServer = udp:127.0.0.1:54321"), 14);
  EXPECT_EQ(CodeWith(&ManifestText::more, "Node = 1\nNameServer = udp:localhost:54321"), 14);
  EXPECT_EQ(CodeWith(&ManifestText::more, "Node = 1\nNameServer = tcp:127.0.0.1:54321"), 14);
  EXPECT_EQ(CodeWith(&ManifestText::more, "Node = 1\nNameServer = 127.0.0.1"), 14);
  EXPECT_EQ(CodeWith(&ManifestText::more, "Node = 1\nNameServer = udp:127.0.0.1:54321"), 0);
}

TEST_F(Zerovm, BadChannelsHaveTheirExitCodes) {
  const auto code = [this](const std::string& line) {
    return CodeWith(&ManifestText::standard_in, line);
  };
  EXPECT_EQ(code(""), 14);
  EXPECT_EQ(code("Channel = /dev/null, /dev/other, 0, 0, 1, 1, 0, 0"), 14);
  EXPECT_EQ(code("Channel = /dev/null, /dev/stdout, 0, 0, 1, 1, 0, 0"), 14);
  EXPECT_EQ(code("Channel = , /dev/stdin, 0, 0, 1, 1, 0, 0"), 14);
  EXPECT_EQ(code("Channel = relative, /dev/stdin, 0, 0, 1, 1, 0, 0"), 14);
  EXPECT_EQ(code(Channel(Path("none"), "/dev/stdin, 0, 0, 1, 1, 0, 0")), 14);
  EXPECT_EQ(code("Channel = /dev/null, /dev/stdin, 4, 0, 1, 1, 0, 0"), 14);
  EXPECT_EQ(code("Channel = /dev/null, /dev/stdin, 0, 0, 0, 0, 0, 0"), 22);
  EXPECT_EQ(code("Channel = /dev/null, /dev/stdin, 0, 0, 1, 1, 1, 1"), 22);
  EXPECT_EQ(code("Channel = /dev/null, /dev/stdin, 0, 0, -1, 1, 0, 0"), 14);
  EXPECT_EQ(code("Channel = /dev/null, /dev/stdin, 0, 0, 1, 1, 0"), 14);
  EXPECT_EQ(code("Channel = /dev/null, /dev/stdin, 0, 0, 1, 1, 0, 0, 0"), 14);
  EXPECT_EQ(code(Channel(directory_, "/dev/stdin, 0, 0, 1, 1, 0, 0")), 93);
  const UniqueFd socket(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  const std::string name = Path("socket");
  ASSERT_LT(name.size(), sizeof address.sun_path);
  std::memcpy(address.sun_path, name.c_str(), name.size() + 1);
  ASSERT_EQ(::bind(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address), 0);
  EXPECT_EQ(code(Channel(name, "/dev/stdin, 0, 0, 1, 1, 0, 0")), 93);
  EXPECT_EQ(code("Channel = tcp:1:2, /dev/stdin, 0, 0, 1, 1, 0, 0"), 11);
  EXPECT_EQ(code("Channel = tcp:1:2, /dev/stdin, 1, 0, 1, 1, 0, 0"), 14);
  EXPECT_EQ(code("Channel = tcp:1:2, /dev/stdin, 0, 0, 1, 1, 1, 1"), 14);
  EXPECT_EQ(code("Channel = /dev/null;/dev/null, /dev/stdin, 0, 0, 1, 1, 0, 0"), 0);
  const std::string file = Write("file", "x");
  EXPECT_EQ(code(Channel(file, "/dev/stdin, 0, 0, 1, 1, 1, 1")), 14);
  EXPECT_EQ(code(Channel(file, "/dev/stdin, 2, 0, 1, 1, 1, 1")), 14);
  EXPECT_EQ(code(Channel(file, "/dev/stdin, 3, 0, 1, 1, 1, 1")), 0);
  EXPECT_EQ(code(Channel(Path("none/out"), "/dev/stdin, 0, 0, 0, 0, 1, 1")), 2);
}

TEST_F(Zerovm, BadManifestFilesHaveTheirExitCodes) {
  EXPECT_EQ(RunZerovm({Path("none")}).exit_code, 2);
  EXPECT_EQ(RunZerovm({Write("empty", "")}).exit_code, 5);
  EXPECT_EQ(RunZerovm({Write("comment", "====\nno key here\n")}).exit_code, 14);
  EXPECT_EQ(RunZerovm({directory_}).exit_code, 5);
}

TEST_F(Zerovm, BadCommandLinesEndWith22AndNoReport) {
  const std::string manifest = Write("manifest", manifest_.Text());
  for (const std::vector<std::string>& arguments :
       std::vector<std::vector<std::string>>{{},
                                             {"--none", manifest},
                                             {manifest, manifest},
                                             {"-s", manifest},
                                             {"-t", "3", manifest},
                                             {"--report", "xml", manifest}}) {
    const Outcome run = RunZerovm(arguments);
    EXPECT_EQ(run.exit_code, 22);
    EXPECT_EQ(run.output, "");
  }
  EXPECT_EQ(RunZerovm({"-M", manifest}).exit_code, 0);
  EXPECT_EQ(RunZerovm({"-P", "-Q", "-t", "0", "-v", "1", manifest}).exit_code, 0);
  EXPECT_EQ(RunZerovm({"--help"}).exit_code, 0);
  EXPECT_EQ(RunZerovm({"--version"}).exit_code, 0);
}

TEST_F(Zerovm, HostProgramIsNamedInTheReport) {
  manifest_.program = "Program = /proc/self/exe";
  const Outcome run = Start();
  EXPECT_EQ(run.lines[0], "1");
  EXPECT_THAT(run.lines[5], HasSubstr("zvm-cc"));
}

// --- What a run leaves behind ---

TEST_F(Zerovm, RefusedManifestLeavesOutputsAlone) {
  Write("old", "precious");
  manifest_.standard_out = Channel(Path("old"), "/dev/stdout, 0, 0, 0, 0, 9, 99");
  manifest_.standard_err = Channel(Path("new"), "/dev/stderr, 0, 0, 0, 0, 9, 99");
  EXPECT_EQ(CodeWith(&ManifestText::timeout, "Timeout = 0"), 14);
  EXPECT_EQ(CodeWith(&ManifestText::memory, "Memory = 16777217, 0"), 12);
  EXPECT_EQ(CodeWith(&ManifestText::program, "Program = " + Write("text", "no program")), 8);
  EXPECT_EQ(CodeWith(&ManifestText::more, Channel(Path("none"), "/dev/in, 0, 0, 1, 1, 0, 0")), 14);
  EXPECT_EQ(Start({"-F"}).exit_code, 0);
  EXPECT_EQ(Content("old"), "precious");
  EXPECT_FALSE(std::filesystem::exists(Path("new")));
}

TEST_F(Zerovm, VerifyOnlyReportsAndRunsNothing) {
  const Outcome run = Start({"-F"});
  EXPECT_EQ(run.exit_code, 0);
  EXPECT_EQ(run.output, "0\n0\n0\ndisabled\n0.00 0.00 0 0 0 0 0 0 0 0\nok\n\n");
}

// --- Accounting and ends ---

TEST_F(Zerovm, AccountsEveryOperation) {
  std::string text;
  for (int i = 0; text.size() < 10'000; ++i) text += std::to_string(i) + "\n";
  manifest_.program = Program("copy");
  manifest_.standard_in = Channel(Write("in", text), "/dev/stdin, 0, 1, 99, 99999, 0, 0");
  manifest_.standard_out = Channel(Path("out"), "/dev/stdout, 0, 1, 0, 0, 99, 99999");
  manifest_.standard_err = Channel(Path("err"), "/dev/stderr, 0, 0, 0, 0, 99, 99999");
  const Outcome run = Start();
  EXPECT_EQ(run.exit_code, 0) << run.output;
  EXPECT_EQ(Content("out"), text);
  EXPECT_EQ(Content("err"), "copied");
  const std::size_t pieces = (text.size() + 3999) / 4000;
  std::ostringstream counters;
  counters << " " << pieces << " " << text.size() << " " << pieces + 1 << " " << text.size() + 6
           << " 0 0 0 0";
  EXPECT_THAT(run.lines[4], testing::EndsWith(counters.str()));
  EXPECT_THAT(run.lines[3],
              testing::MatchesRegex("/dev/stdin ([0-9a-f]+) /dev/stdout ([0-9a-f]+)"));
  // The same bytes have the same digest.
  EXPECT_EQ(run.lines[3].substr(11, 40), run.lines[3].substr(run.lines[3].size() - 40));
}

TEST_F(Zerovm, EqualRunsHaveEqualDigests) {
  manifest_.program = Program("copy");
  manifest_.memory = "Memory = 33554432, 1";
  manifest_.standard_in = Channel(Write("in", "text"), "/dev/stdin, 0, 1, 99, 99999, 0, 0");
  const Outcome first = Start();
  const Outcome second = Start();
  EXPECT_THAT(first.lines[3], testing::MatchesRegex("/dev/stdin [0-9a-f]+ /dev/memory [0-9a-f]+"));
  EXPECT_EQ(first.lines[3], second.lines[3]);
}

TEST_F(Zerovm, ReportsAWholeExitCodeAndStopsThere) {
  manifest_.standard_out = Channel(Path("out"), "/dev/stdout, 0, 0, 0, 0, 9, 99");
  const Outcome run = Start();
  EXPECT_EQ(run.exit_code, 0);
  EXPECT_EQ(run.lines[2], "1234");
  EXPECT_EQ(Content("out"), "before");
}

TEST_F(Zerovm, NamesTheFaultingFunction) {
  manifest_.program = Program("fault_in_function");
  const Outcome run = Start();
  EXPECT_EQ(run.exit_code, 4);
  EXPECT_THAT(run.lines[5],
              testing::MatchesRegex(
                  "Signal 11 from untrusted code: Halting at 0x4[0-9a-f]+ \\(ReadFrom.*\\)"));
}

TEST_F(Zerovm, StopsAtTheTimeout) {
  manifest_.program = Program("endless_loop");
  manifest_.timeout = "Timeout = 1";
  const Outcome run = Start();
  EXPECT_EQ(run.exit_code, 4);
  EXPECT_EQ(run.lines[5], "session timeout");
}

TEST_F(Zerovm, StopsAtTheLimitOfProcessorTime) {
  manifest_.program = Program("endless_loop");
  const Outcome run = Start({"--report", "json", "--cpu-limit", "50"});
  EXPECT_EQ(run.exit_code, 4);
  EXPECT_THAT(run.output, HasSubstr(R"("cause":"cpu_limit")"));
}

TEST_F(Zerovm, StopsAtTheLimitOfResidentMemory) {
  manifest_.program = Program("fork_spin");
  manifest_.standard_in = Channel(Write("in", "memory"), "/dev/stdin, 0, 0, 9, 99, 0, 0");
  const Outcome run = Start({"--report", "json", "--memory-limit", "4000000"});
  EXPECT_THAT(run.output, HasSubstr(R"("cause":"memory_limit")"));
}

TEST_F(Zerovm, NamesWhatControlGroupsLack) {
  manifest_.program = Program("copy");
  manifest_.standard_in = Channel(Write("in", "text"), "/dev/stdin, 0, 0, 9, 99, 0, 0");
  const Outcome run = Start({"--control-groups", directory_});
  EXPECT_EQ(run.exit_code, 11);
  EXPECT_THAT(run.lines[5], HasSubstr("hands on no controller memory"));
}

TEST_F(Zerovm, StopsAtTheTimeoutWhenNobodyOpensAFifo) {
  ASSERT_EQ(::mkfifo(Path("fifo").c_str(), 0600), 0);
  manifest_.standard_in = Channel(Path("fifo"), "/dev/stdin, 0, 0, 9, 99, 0, 0");
  manifest_.timeout = "Timeout = 1";
  const Outcome run = Start();
  EXPECT_EQ(run.exit_code, 4);
  EXPECT_THAT(run.lines[5], testing::StartsWith("MANIFEST 5: Channel: source: /dev/stdin ("));
}

TEST_F(Zerovm, EndsTheSessionWhenTheHostCannotWrite) {
  manifest_.program = Program("copy");
  manifest_.standard_in = Channel(Write("in", "text"), "/dev/stdin, 0, 0, 9, 99, 0, 0");
  manifest_.standard_out = "Channel = /dev/full, /dev/stdout, 0, 0, 0, 0, 9, 99";
  const Outcome run = Start();
  EXPECT_EQ(run.exit_code, 5);
  EXPECT_THAT(run.lines[5], HasSubstr("/dev/stdout"));
}

TEST_F(Zerovm, JsonReportNamesTheLimitThatWasHit) {
  manifest_.program = Program("copy");
  manifest_.standard_in = Channel(Write("in", "text"), "/dev/stdin, 0, 0, 9, 99, 0, 0");
  manifest_.standard_out = "Channel = /dev/null, /dev/stdout, 0, 0, 0, 0, 9, 3";
  const Outcome run = Start({"--report", "json"});
  EXPECT_EQ(run.exit_code, 0);
  EXPECT_THAT(run.output, HasSubstr(R"("cause":"exited","exit_code":122)"));
  EXPECT_THAT(
      run.output,
      HasSubstr(R"("limits_hit":[{"channel":"/dev/stdout","limit":"put_size","value":3}])"));
}

TEST_F(Zerovm, CopiesThroughFifos) {
  ASSERT_EQ(::mkfifo(Path("in").c_str(), 0600), 0);
  ASSERT_EQ(::mkfifo(Path("out").c_str(), 0600), 0);
  // Held open for both, so that nothing here waits; a FIFO holds this much.
  const UniqueFd out(::open(Path("out").c_str(), O_RDWR | O_CLOEXEC));
  UniqueFd in(::open(Path("in").c_str(), O_RDWR | O_CLOEXEC));
  ASSERT_EQ(::write(in.get(), "hello", 5), 5);
  manifest_.program = Program("copy");
  // Exactly as many bytes as allowed, then the end: no limit is in the way.
  manifest_.standard_in = Channel(Path("in"), "/dev/stdin, 0, 0, 9, 5, 0, 0");
  manifest_.standard_out = Channel(Path("out"), "/dev/stdout, 0, 0, 0, 0, 9, 99");
  // The end comes when this test's descriptor goes, which zerovm must not have.
  const std::string manifest = Write("manifest", manifest_.Text());
  std::array<char, 6> buffer{};
  std::jthread closes([&] {
    EXPECT_EQ(::read(out.get(), buffer.data(), 5), 5);
    in.Reset();
  });
  const Outcome run = RunZerovm({manifest});
  EXPECT_EQ(run.exit_code, 0) << run.output;
  EXPECT_EQ(run.lines[2], "0");
  closes.join();
  EXPECT_STREQ(buffer.data(), "hello");
}

TEST_F(Zerovm, UserManifestTellsWhatIsGranted) {
  manifest_.program = Program("dump");
  manifest_.memory = "Memory = 33554432, 0";
  manifest_.standard_in = "Channel = /dev/zero, /dev/stdin, 0, 0, 99, 100, 0, 0";
  manifest_.standard_out = Channel(Path("out"), "/dev/stdout, 0, 0, 0, 0, 9, 9999");
  manifest_.more = Channel(Write("b", "0123456789"), "/dev/b, 3, 1, 4, 5, 6, 7") + "\n" +
                   Channel(Path("b2"), "/dev/a, 2, 0, 0, 0, 8, 9");
  EXPECT_EQ(Start().lines[2], "0");
  EXPECT_THAT(Content("out"), testing::MatchesRegex("memory 33554432\nstack 16777216\n"
                                                    "heap [1-9][0-9]+\nheap begins a page 1\n"
                                                    "channels 5\n"
                                                    "/dev/stdin 99 100 0 0 size 0 type 0\n"
                                                    "/dev/stdout 0 0 9 9999 size 0 type 0\n"
                                                    "/dev/stderr 0 0 99 99999 size 0 type 0\n"
                                                    "/dev/a 0 0 8 9 size 0 type 2\n"
                                                    "/dev/b 4 5 6 7 size 10 type 3\n"));
}

// --- Calls: the tables of docs/abi.md, through the gate ---

// The nine kinds that type and limits make of a channel on a file; three are refused.
TEST_F(Zerovm, TypeAndLimitsMakeNineKinds) {
  const auto program = manifest_.program;
  for (int type = 0; type <= 3; ++type) {
    const std::string begin = "/dev/x, " + std::to_string(type) + ", 0, ";
    const bool reads_anywhere = type == 1 || type == 3;
    const bool writes_anywhere = type == 2 || type == 3;
    const auto calls_with = [&](const std::string& limits, const std::string& script) {
      manifest_ = {};
      manifest_.standard_out = Channel(Path("out"), "/dev/stdout, 0, 0, 0, 0, 9, 99");
      manifest_.more = Channel(Path("x"), begin + limits);
      return Calls(script);
    };
    Write("x", "0123456789");
    EXPECT_THAT(calls_with("9, 99, 0, 0", ReadX(1, 5) + "w 1 d 0 1 0\n" + WriteX(1, 0)),
                ElementsAre(1, 1, kBadHandle));
    EXPECT_EQ(Content("out"), reads_anywhere ? "5" : "0") << type;
    EXPECT_THAT(calls_with("0, 0, 9, 99", WriteX(1, 5) + WriteX(1, 7) + ReadX(1, 0)),
                ElementsAre(1, 1, kBadHandle));
    EXPECT_EQ(Content("x"), writes_anywhere ? std::string("\0\0\0\0\0d\0d", 8) : "dd") << type;
    Write("x", "0123456789");
    if (!reads_anywhere) {
      manifest_.program = program;
      manifest_.more = Channel(Path("x"), begin + "9, 99, 9, 99");
      EXPECT_EQ(Start().exit_code, 14) << type;
      EXPECT_EQ(Content("x"), "0123456789") << type;
      continue;
    }
    EXPECT_THAT(calls_with("9, 99, 9, 99", WriteX(1, 5) + ReadX(1, 3)), ElementsAre(1, 1));
    EXPECT_EQ(Content("x"), writes_anywhere ? "01234d6789" : "0123456789d") << type;
  }
}

// ZeroVM's big1. The files have holes, so they take no space.
TEST_F(Zerovm, OffsetsBeyondFourGiB) {
  manifest_.more = Channel(Path("x"), "/dev/x, 3, 0, 9, 99, 9, 6000000000");
  EXPECT_THAT(Calls(WriteX(4, 5'000'000'000) + ReadX(9, 5'000'000'001) + ReadX(2, 4'999'999'999)),
              ElementsAre(4, 3, 2));
  EXPECT_EQ(std::filesystem::file_size(Path("x")), 5'000'000'004U);
  manifest_.more = Channel(Path("x"), "/dev/x, 1, 0, 9, 99, 0, 0");
  EXPECT_THAT(Calls(SizeX() + ReadX(9, 5'000'000'000)), ElementsAre(5'000'000'004, 4));
}

TEST_F(Zerovm, SequentialReadOnly) {
  manifest_.more = Channel(Write("x", std::string(100, 'x')), "/dev/x, 0, 0, 32, 32, 0, 0");
  EXPECT_THAT(Calls(SizeX() + ReadX(0, 0) + ReadX(0, 1) + ReadX(1, 0) + ReadX(1, 99) +
                    ReadX(1, -1) + ReadX(1, INT64_MAX) + ReadX(-1, 0) + WriteX(0, 0) +
                    WriteX(1, 0) + ReadX(30, 0) + ReadX(1, 0)),
              ElementsAre(0, 0, 0, 1, 1, 1, 1, kFault, 0, kBadHandle, 28, kOverQuota));
}

TEST_F(Zerovm, CharacterDeviceReadOnly) {
  manifest_.more = "Channel = /dev/zero, /dev/x, 0, 0, 32, 32, 0, 0";
  EXPECT_THAT(
      Calls(SizeX() + ReadX(0, 0) + ReadX(1, -1) + ReadX(1, 1) + WriteX(1, 0) + ReadX(31, 0) +
            ReadX(1, 0) + "r -1 d 0 1 0\nr 65535 d 0 1 0\nr 6 d 0 1 0\nw -1 d 0 1 0\n"),
      ElementsAre(0, 0, 1, 1, kBadHandle, 30, kOverQuota, kInvalid, kInvalid, kInvalid, kInvalid));
}

TEST_F(Zerovm, RandomReadOnly) {
  manifest_.more = Channel(Write("x", std::string(100, 'x')), "/dev/x, 1, 0, 32, 32, 0, 0");
  EXPECT_THAT(Calls(SizeX() + ReadX(1, 99) + ReadX(1, 100) + ReadX(1, 101) + ReadX(5, 4294967300) +
                    ReadX(1, -1) + WriteX(1, 0) + ReadX(5, 99) + ReadX(31, 0) + ReadX(1, 0) +
                    ReadX(1, 100)),
              ElementsAre(100, 1, 0, 0, 0, kInvalid, kBadHandle, 1, 30, kOverQuota, 0));
}

TEST_F(Zerovm, EndOfFileNeedsNoQuota) {
  manifest_.more = Channel(Write("x", "0123456789"), "/dev/x, 0, 0, 1, 10, 0, 0");
  EXPECT_THAT(Calls(ReadX(10, 0) + ReadX(1, 0) + ReadX(1, 0)), ElementsAre(10, 0, 0));
}

TEST_F(Zerovm, SequentialWriteOnly) {
  manifest_.more = Channel(Path("x"), "/dev/x, 1, 0, 0, 0, 32, 32");
  EXPECT_THAT(Calls(SizeX() + WriteX(1, 0) + WriteX(1, -1) + WriteX(1, INT64_MAX) + WriteX(1, 7) +
                    WriteX(-1, 0) + ReadX(0, 0) + ReadX(1, 0) + WriteX(30, 0) + WriteX(1, 0)),
              ElementsAre(0, 1, 1, 1, 1, kFault, 0, kBadHandle, 28, kOverQuota));
  EXPECT_EQ(Content("x").substr(0, 8), std::string("dddddata"));
  EXPECT_EQ(Content("x").size(), 32U);
}

TEST_F(Zerovm, RandomWriteOnly) {
  manifest_.more = Channel(Write("x", "old content"), "/dev/x, 2, 0, 0, 0, 32, 32");
  EXPECT_THAT(Calls(SizeX() + WriteX(1, -1) + WriteX(1, 32) + ReadX(1, 0) + WriteX(1, 20) +
                    WriteX(3, 31) + WriteX(31, 0) + WriteX(1, 0)),
              ElementsAre(0, kInvalid, kInvalid, kBadHandle, 1, 1, 30, kOverQuota));
  EXPECT_EQ(Content("x").size(), 32U);
  EXPECT_EQ(Content("x").substr(0, 4), "data");
}

TEST_F(Zerovm, RandomReadWrite) {
  manifest_.more = Channel(Write("x", "0123456789"), "/dev/x, 3, 0, 99, 99, 9, 6");
  EXPECT_THAT(Calls(SizeX() + WriteX(4, 2) + ReadX(4, 2) + WriteX(1, 14) + ReadX(99, 0) +
                    ReadX(1, 15) + ReadX(1, 16) + WriteX(1, 16) + WriteX(2, 0) + WriteX(1, 0) +
                    WriteX(1, -1) + ReadX(-1, 0)),
              ElementsAre(10, 4, 4, 1, 15, 0, 0, kInvalid, 1, kOverQuota, kInvalid, kFault));
  EXPECT_EQ(Content("x"), std::string("01data6789\0\0\0\0d", 15));
}

TEST_F(Zerovm, Appender) {
  manifest_.more = Channel(Write("x", "old,"), "/dev/x, 1, 0, 99, 99, 9, 99");
  EXPECT_THAT(
      Calls(SizeX() + ReadX(99, 0) + WriteX(4, 0) + WriteX(4, 1000) + ReadX(1, 12) + ReadX(99, 8)),
      ElementsAre(4, 4, 4, 4, 0, 4));
  EXPECT_EQ(Content("x").size(), 12U);
  EXPECT_EQ(Content("x").substr(0, 4), "old,");
}

TEST_F(Zerovm, AppenderCreatesItsFile) {
  manifest_.more = Channel(Path("x"), "/dev/x, 1, 0, 99, 99, 9, 99");
  EXPECT_THAT(Calls(ReadX(1, 0) + WriteX(4, 0) + ReadX(9, 0)), ElementsAre(0, 4, 4));
  EXPECT_EQ(Content("x"), "data");
}

TEST_F(Zerovm, BuffersToReadInto) {
  for (const char* const kind : {"/dev/x, 3, 0, 99, 9999, 0, 0", "/dev/x, 1, 0, 99, 9999, 9, 99",
                                 "/dev/x, 3, 0, 99, 9999, 9, 99"}) {
    manifest_.more = Channel(Write("x", std::string(100, 'x')), kind);
    // Good: data, heap and stack up to their last bytes. Bad: everything else.
    EXPECT_THAT(
        Calls("r 5 d 0 1 0\nr 5 h 0 1 0\nr 5 e -1 1 0\nr 5 s 0 1 0\nr 5 z -1 1 0\n"
              "r 5 n 0 1 0\nr 5 n 1 1 0\nr 5 t 0 1 0\nr 5 r 0 1 0\nr 5 g 0 1 0\nr 5 m 0 1 0\n"
              "r 5 e -1 2 0\nr 5 e 0 1 0\nr 5 s -1 1 0\nr 5 s -65537 1 0\nr 5 z -1 2 0\n"
              "r 5 z 0 1 0\nr 5 n -1 1 0\nr 5 d 0 9223372036854775807 0\nr 5 n 0 0 0\n"),
        ElementsAre(1, 1, 1, 1, 1,                                               //
                    kInvalid, kInvalid, kInvalid, kInvalid, kInvalid, kInvalid,  //
                    kInvalid, kInvalid, kInvalid, kInvalid, kInvalid,            //
                    kInvalid, kInvalid, kInvalid, 0))
        << kind;
  }
}

TEST_F(Zerovm, BuffersToWriteFrom) {
  for (const char* const kind : {"/dev/x, 0, 0, 0, 0, 99, 9999", "/dev/x, 1, 0, 9, 99, 99, 9999",
                                 "/dev/x, 3, 0, 9, 99, 99, 9999"}) {
    manifest_.more = Channel(Path("x"), kind);
    EXPECT_THAT(Calls("w 5 d 0 1 0\nw 5 h 0 1 0\nw 5 e -1 1 0\nw 5 s 0 1 0\nw 5 z -1 1 0\n"
                      "w 5 t 0 1 0\nw 5 r 0 1 0\nw 5 g 0 1 0\nw 5 m 0 1 0\n"
                      "w 5 n 0 1 0\nw 5 n 1 1 0\nw 5 n 65535 1 0\nw 5 e -1 2 0\nw 5 e 0 1 0\n"
                      "w 5 s -1 1 0\nw 5 z -1 2 0\nw 5 z 0 1 0\nw 5 n 0 0 0\n"),
                ElementsAre(1, 1, 1, 1, 1, 1, 1, 1, 1,                         //
                            kInvalid, kInvalid, kInvalid, kInvalid, kInvalid,  //
                            kInvalid, kInvalid, kInvalid, 0))
        << kind;
  }
}

TEST_F(Zerovm, HeapIsNoCodeUntilItVerifies) {
  constexpr int kNotPermitted = -1;
  // Zeros are a store through rax; there is nothing to unjail; fork without a Job does nothing.
  EXPECT_THAT(Calls("j h 0 65536\nu h 0 65536\nj t 0 4096\nf\n"),
              ElementsAre(kNotPermitted, kInvalid, kInvalid, 0));
}

TEST_F(Zerovm, MoreChannelsThanTheUsualNumberOfDescriptors) {
  std::string more;
  for (int i = 0; i < 2000; ++i) {
    more += "Channel = /dev/null, /dev/a" + std::to_string(i) + ", 0, 0, 1, 1, 0, 0\n";
  }
  manifest_.more = more;
  EXPECT_EQ(Start().exit_code, 0);
}

TEST_F(Zerovm, MappedChannelIsReadInPlace) {
  std::string bytes(10000, 'm');
  bytes.front() = 'A';
  bytes.back() = 'Z';
  Write("input", bytes);
  manifest_.program = Program("mapped");
  manifest_.more = Channel(Path("input"), "/dev/input, 1, 0, 1, 10000, 0, 0") +
                   "\nMapped = /dev/input immutable";
  EXPECT_EQ(Start().lines[2], "0") << "see sandbox/testdata/channels/mapped.c";
  manifest_.more =
      Channel(Path("input"), "/dev/input, 1, 0, 1, 10000, 0, 0") + "\nMapped = /dev/input";
  EXPECT_EQ(Start().lines[2], "0");
}

TEST_F(Zerovm, ChannelThatCannotBeMappedIsKnownBeforeAnythingIsCut) {
  Write("input", "0123456789");
  Write("output", "precious");
  manifest_.standard_out = Channel(Path("output"), "/dev/stdout, 0, 0, 0, 0, 99, 99");
  const auto state_with = [&](const std::string& line) {
    manifest_.more = Channel(Path("input"), "/dev/input, 1, 0, 1, 9, 0, 0") + "\n" + line;
    const Outcome run = Start();
    EXPECT_EQ(run.exit_code, 14);
    EXPECT_EQ(Content("output"), "precious");
    return run.lines[5];
  };
  EXPECT_THAT(state_with("Mapped = /dev/input"), HasSubstr("1 get of 10 bytes"));
  EXPECT_THAT(state_with("Mapped = /dev/stdin"), HasSubstr("not a regular file"));
  EXPECT_THAT(state_with("Mapped = /dev/none"), HasSubstr("alias of no channel"));
  EXPECT_THAT(state_with("Mapped = /dev/input\nMapped = /dev/input"), HasSubstr("duplicate"));
}

}  // namespace
}  // namespace zerocloud::runtime
