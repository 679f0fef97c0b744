// What zerovm tells and where: reports, causes, digests, traces, kept verdicts, the checker; and
// what outputs look like while a session runs.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <functional>
#include <future>
#include <string>
#include <vector>

#include "sandbox/runtime/zerovm_fixture.h"

namespace zerocloud::runtime {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::MatchesRegex;
using testing::Not;
using testing::StartsWith;

class ZerovmReport : public Zerovm {
 protected:
  // A session that copies `text` to the file "out".
  void CopyText(const std::string& text) {
    manifest_.program = Program("copy");
    manifest_.standard_in = Channel(Write("in", text), "/dev/stdin, 0, 1, 99, 99999, 0, 0");
    manifest_.standard_out = Channel(Path("out"), "/dev/stdout, 0, 0, 0, 0, 99, 99999");
    manifest_.standard_err = Channel(Path("err"), "/dev/stderr, 0, 0, 0, 0, 99, 99999");
  }
  std::string Cause(const std::vector<std::string>& options = {}) {
    std::vector<std::string> all = {"--report", "json"};
    all.insert(all.end(), options.begin(), options.end());
    return CauseOf(Start(all));
  }
  static std::string CauseOf(const Outcome& run) {
    const std::string key = R"("cause":")";
    const std::size_t begin = run.output.find(key);
    if (begin == std::string::npos) return "none in " + run.output;
    const std::size_t start = begin + key.size();
    return run.output.substr(start, run.output.find('"', start) - start);
  }
  [[nodiscard]] std::vector<std::string> Lines(const std::string& name) const {
    std::ifstream file(Path(name));
    std::vector<std::string> lines;
    for (std::string line; std::getline(file, line);) lines.push_back(line);
    return lines;
  }
};

// --- Where the report goes ---

TEST_F(ZerovmReport, GoesToTheLogOnOneLine) {
  const Outcome run = Start({"-t", "1", "--log", Path("log")});
  EXPECT_EQ(run.exit_code, 0);
  EXPECT_EQ(run.output, "");
  EXPECT_THAT(Lines("log"),
              ElementsAre(MatchesRegex("zerovm: 0; 0; 1234; disabled; 0.* 0 0 1 6 0 0 0 0; ok")));
}

TEST_F(ZerovmReport, IsAppendedToAFile) {
  for (int i = 0; i < 2; ++i) {
    const Outcome run = Start({"--report-file", Path("report")});
    EXPECT_EQ(run.exit_code, 0);
    EXPECT_EQ(run.output, "");
  }
  EXPECT_EQ(Lines("report").size(), 14U);
  EXPECT_EQ(Lines("report")[12], "ok");
}

TEST_F(ZerovmReport, ThatCannotBeWrittenIsAnError) {
  EXPECT_EQ(Start({"--report-file", "/dev/full"}).exit_code, 5);
  EXPECT_EQ(Start({"-t", "1", "--log", Path("none/log")}).exit_code, 5);
  EXPECT_EQ(Start({"-T", Path("none/trace")}).exit_code, 5);
}

TEST_F(ZerovmReport, LogSaysMoreOnRequest) {
  manifest_.more = "Tiemout = 5";
  manifest_.timeout = "Timeout = 9";
  for (const char* level : {"0", "1", "2"}) {
    Start({"-v", level, "--log", Path(std::string("log") + level)});
  }
  EXPECT_TRUE(Lines("log0").empty());
  EXPECT_THAT(Lines("log1"), ElementsAre(HasSubstr("manifest:8: ignored: there is no key")));
  EXPECT_THAT(Content("log2"), HasSubstr("zerovm: program verified after "));
}

// --- Digests ---

TEST_F(ZerovmReport, DigestIsSha1InTextSha256InJsonOrAsAskedFor) {
  CopyText("abc");
  EXPECT_EQ(Start().lines[3], "/dev/stdin a9993e364706816aba3e25717850c26c9cd0d89d");
  EXPECT_THAT(
      Start({"--report", "json"}).output,
      HasSubstr(R"("digest":"ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad")"));
  EXPECT_EQ(Start({"--digest", "md5"}).lines[3], "/dev/stdin 900150983cd24fb0d6963f7d28e17f72");
  EXPECT_THAT(Start({"--digest", "sha1", "--report", "json"}).output,
              HasSubstr(R"("digest":"a9993e364706816aba3e25717850c26c9cd0d89d")"));
  EXPECT_EQ(Start({"--digest", "crc"}).exit_code, 22);
  manifest_.memory = "Memory = 33554432, 1";
  EXPECT_THAT(Start({"--digest", "md5"}).lines[3], MatchesRegex(".* /dev/memory [0-9a-f]+"));
  EXPECT_THAT(Start({"--report", "json"}).output,
              testing::ContainsRegex(R"("digest_kind":"sha256","memory_digest":"[0-9a-f]+")"));
}

// --- Trace ---

TEST_F(ZerovmReport, TraceShowsStagesAndCalls) {
  CopyText("abc");
  EXPECT_EQ(Start({"-T", Path("trace")}).exit_code, 0);
  std::vector<std::string> seen;
  for (const std::string& line : Lines("trace")) {
    EXPECT_THAT(line, MatchesRegex("[0-9]+\\.[0-9]+ \\[[0-9]+\\.[0-9]+\\]: .*"));
    seen.push_back(line.substr(line.find("]: ") + 3));
  }
  // The guest may be faster than whoever notes that it was started.
  EXPECT_EQ(std::erase(seen, "session started"), 1U);
  EXPECT_THAT(seen, ElementsAre("manifest parsed", "program verified", "channels checked",
                                "channels opened", "other sides met", "untrusted code",
                                MatchesRegex("pread\\(0, 0x.*, 4000, 0\\) = 3"), "untrusted code",
                                MatchesRegex("pwrite\\(1, 0x.*, 3, 0\\) = 3"), "untrusted code",
                                MatchesRegex("pread\\(0, 0x.*, 4000, 0\\) = 0"), "untrusted code",
                                MatchesRegex("pwrite\\(2, 0x.*, 6, 0\\) = 6"), "untrusted code",
                                "exit(0)", "session ended", "files cut", "done: ok"));
}

// --- Kept verdicts ---

TEST_F(ZerovmReport, VerdictIsKeptForTheVeryProgramOnly) {
  std::filesystem::copy_file(std::string(ZEROCLOUD_CHANNEL_GUESTS) + "exit_1234", Path("program"));
  manifest_.program = "Program = " + Path("program");
  ASSERT_EQ(::mkdir(Path("verdicts").c_str(), 0700), 0);
  const auto run = [this] {
    return Start({"--report", "json", "--verdicts", Path("verdicts"), "-T", Path("trace")});
  };
  EXPECT_THAT(run().output, HasSubstr(R"("cached_verdict":false})"));
  EXPECT_THAT(run().output, HasSubstr(R"("cached_verdict":true})"));
  EXPECT_THAT(Content("trace"), HasSubstr("program loaded, accepted before"));
  // The same name with other bytes: verified again, and found out.
  std::string bytes = Content("program");
  const std::size_t at = bytes.find("\x81\x24\x24");  // the mask of a return
  ASSERT_NE(at, std::string::npos);
  bytes.replace(at, 2, "\x0f\x05");  // syscall
  Write("program", bytes);
  const Outcome changed = run();
  EXPECT_EQ(changed.exit_code, 8) << changed.output;
  EXPECT_THAT(changed.output, Not(HasSubstr("cached_verdict\":true")));
  ASSERT_EQ(::chmod(Path("verdicts").c_str(), 0777), 0);
  EXPECT_EQ(run().exit_code, 22);
}

TEST_F(ZerovmReport, VerifyOnlyKeepsTheVerdict) {
  ASSERT_EQ(::mkdir(Path("verdicts").c_str(), 0700), 0);
  EXPECT_EQ(Start({"-F", "--verdicts", Path("verdicts")}).exit_code, 0);
  EXPECT_THAT(Start({"--report", "json", "--verdicts", Path("verdicts")}).output,
              HasSubstr(R"("cached_verdict":true})"));
}

// --- The checker ---

TEST_F(ZerovmReport, CheckerTellsEveryMistakeAndIgnoredLine) {
  manifest_.program = "Program = " + Path("none");
  manifest_.standard_out = Channel(Path("new"), "/dev/stdout, 0, 0, 0, 0, 9, 99");
  manifest_.standard_in = Channel(Path("no-input"), "/dev/stdin, 0, 0, 9, 99, 0, 0");
  manifest_.more = "Tiemout = 5\nTimeout 5";
  const Outcome run = Start({"--check"});
  EXPECT_EQ(run.exit_code, 2);
  const std::string at = Path("manifest") + ":";
  EXPECT_THAT(run.output, HasSubstr(at + "8: warning: ignored: there is no key 'Tiemout'\n" + at +
                                    "9: warning: ignored: it has no '='\n" + at +
                                    "2: error: Program: cannot open"));
  EXPECT_THAT(run.output, HasSubstr(at + "5: error: Channel: source: "));
  EXPECT_FALSE(std::filesystem::exists(Path("new")));

  manifest_ = {};
  manifest_.program = Program("exit_1234");
  const Outcome good = Start({"--check"});
  EXPECT_EQ(good.exit_code, 0);
  EXPECT_EQ(good.output, "");
}

TEST_F(ZerovmReport, CheckerKnowsWhatCannotBeMappedOrWaitedFor) {
  manifest_.more =
      Channel(Write("x", "0123456789"), "/dev/x, 1, 0, 1, 9, 0, 0") + "\nMapped = /dev/x";
  EXPECT_THAT(Start({"--check"}).output, HasSubstr("manifest:9: error: Mapped: /dev/x cannot"));
  manifest_.more = "Readiness = 1";
  manifest_.standard_in = "Channel = /dev/zero;/dev/zero, /dev/stdin, 0, 0, 9, 99, 0, 0";
  EXPECT_THAT(Start({"--check"}).output,
              HasSubstr("manifest:8: error: Readiness: /dev/stdin is a"));
  EXPECT_EQ(Start().exit_code, 14);
  manifest_ = {};
  manifest_.program = Program("exit_1234");
  manifest_.memory = "Memory = 16777217, 0";
  EXPECT_THAT(Start({"--check"}).output, HasSubstr("manifest:3: error: Memory: "));
}

// --- JSON ---

TEST_F(ZerovmReport, JsonTellsWhoRanWithinWhatAndItsLastWords) {
  CopyText("abc");
  manifest_.more = "Node = 7\nReadiness = 1";
  const std::string json = Start({"--report", "json", "--cpu-limit", "5000"}).output;
  EXPECT_THAT(json, StartsWith(R"({"status":0,"status_name":"ok","cause":"exited","state":"ok",)"
                               R"("validator":"passed","program":{"sha256":")"));
  EXPECT_THAT(json, HasSubstr(R"("node":7,"limits":{"memory_bytes":67108864,"timeout_s":30,)"
                              R"("cpu_us":5000000},"readiness":true,)"));
  EXPECT_THAT(json, HasSubstr(R"("stderr_tail":"copied")"));
  EXPECT_THAT(json, HasSubstr(R"("wall_time_us":)"));
  EXPECT_THAT(json, HasSubstr(R"("user_time_us":)"));
  EXPECT_THAT(json,
              HasSubstr(R"("local":{"reads":1,"read_bytes":3,"writes":2,"written_bytes":9})"));
}

TEST_F(ZerovmReport, JsonNamesSignalPlaceAndFunction) {
  manifest_.program = Program("fault_in_function");
  const std::string json = Start({"--report", "json"}).output;
  EXPECT_THAT(json, testing::ContainsRegex(
                        R"("signal":11,"pc":"0x4[0-9a-f]+","fault_address":"0x[0-9a-f]+",)"
                        R"("symbol":"ReadFrom)"));
}

// A guest that ended before what it said came out of a pipe has said it all the same.
TEST_F(ZerovmReport, LastWordsAreToldWhereverTheyWent) {
  CopyText("abc");
  ASSERT_EQ(::mkfifo(Path("fifo").c_str(), 0600), 0);
  const UniqueFd reader(::open(Path("fifo").c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC));
  for (const std::string& where :
       {Path("err"), Path("fifo"), std::string("/dev/null"), Path("a") + ";" + Path("b")}) {
    manifest_.standard_err = Channel(where, "/dev/stderr, 0, 0, 0, 0, 99, 99999");
    EXPECT_THAT(Start({"--report", "json"}).output, HasSubstr(R"("stderr_tail":"copied")"))
        << where;
  }
  EXPECT_EQ(ReadAll(reader.get()), "copied");
  manifest_.standard_err = "Channel = /dev/full, /dev/stderr, 0, 0, 0, 0, 99, 99999";
  EXPECT_THAT(Start({"--report", "json"}).output, HasSubstr(R"("stderr_tail":"")"))
      << "not written";
}

TEST_F(ZerovmReport, JsonTellsWhichLimitOfReadingWasHit) {
  CopyText("abcdefghij");
  const auto hit = [this](const std::string& source, const std::string& limits) {
    manifest_.standard_in = Channel(source, "/dev/stdin, 0, 0, " + limits + ", 0, 0");
    const std::string json = Start({"--report", "json"}).output;
    const std::size_t at = json.find(R"("limits_hit":)");
    return json.substr(at, json.find(']', at) - at + 1);
  };
  const std::string of = R"("limits_hit":[{"channel":"/dev/stdin","limit":")";
  EXPECT_EQ(hit(Path("in"), "9, 9"), of + R"(get_size","value":9}])");
  EXPECT_EQ(hit(Path("in"), "1, 9"), of + R"(gets","value":1}])");
  EXPECT_EQ(hit("/dev/zero", "2, 99999"), of + R"(gets","value":2}])");
  EXPECT_EQ(hit("/dev/zero", "9, 99"), of + R"(get_size","value":99}])");
  EXPECT_EQ(hit(Path("in"), "1, 10"), R"("limits_hit":[])") << "all of it was read";
}

TEST_F(ZerovmReport, JsonTellsWhichChannelsAreInMemory) {
  manifest_.more = Channel(Write("data", std::string(9000, 'x')),
                           "/dev/data, 1, 0, 999, 10000, 0, 0\nMapped = /dev/data immutable");
  EXPECT_THAT(Start({"--report", "json"}).output,
              HasSubstr(R"({"alias":"/dev/data","mapped":"immutable",)"));
  manifest_.more = Channel(Path("data"), "/dev/data, 1, 0, 999, 10000, 0, 0\nMapped = /dev/data");
  EXPECT_THAT(Start({"--report", "json"}).output,
              HasSubstr(R"({"alias":"/dev/data","mapped":"copied",)"));
}

TEST_F(ZerovmReport, FileLongerThanTheHostAllowsIsADiskQuota) {
  CopyText(std::string(9 << 20, 'x'));
  manifest_.standard_in = Channel(Path("in"), "/dev/stdin, 0, 0, 99999, 99999999, 0, 0");
  manifest_.standard_out = Channel(Path("out"), "/dev/stdout, 0, 0, 0, 0, 99999, 99999999");
  const Outcome run =
      RunProgram("/bin/sh", {"-c", "ulimit -f 16384; exec \"$0\" \"$@\"", ZEROCLOUD_ZEROVM,
                             "--report", "json", Write("manifest", manifest_.Text())});
  EXPECT_EQ(run.exit_code, 4);
  EXPECT_EQ(CauseOf(run), "disk_quota") << run.output;
  EXPECT_THAT(run.output, HasSubstr(R"("state":"disk quota exceeded")"));
}

// --- Outputs while a session runs ---

class ZerovmOutputs : public ZerovmReport {
 protected:
  // The length of the file "x" after the guest has written four bytes, while it still runs.
  off_t LengthMeanwhile(const std::vector<std::string>& options) {
    ::unlink(Path("x").c_str());
    ::unlink(Path("fifo").c_str());
    ::unlink(Path("word").c_str());
    EXPECT_EQ(::mkfifo(Path("fifo").c_str(), 0600), 0);
    EXPECT_EQ(::mkfifo(Path("word").c_str(), 0600), 0);
    UniqueFd writer(::open(Path("fifo").c_str(), O_RDWR | O_CLOEXEC));
    const UniqueFd word(::open(Path("word").c_str(), O_RDWR | O_CLOEXEC));
    manifest_.program = Program("calls");
    manifest_.standard_in = Channel(Path("fifo"), "/dev/stdin, 0, 0, 9, 99, 0, 0");
    manifest_.standard_out = Channel(Path("word"), "/dev/stdout, 0, 0, 0, 0, 9, 99");
    manifest_.more = Channel(Path("x"), "/dev/x, 0, 0, 0, 0, 9, 100000") + "\n" +
                     Channel(Write("script", WriteX(4, 0) + "w 1 d 0 1 0\nr 0 d 0 1 0\n"),
                             "/dev/script, 3, 0, 9, 999, 0, 0") +
                     "\n" + Channel(Path("result"), "/dev/result, 0, 0, 0, 0, 9, 999");
    std::vector<std::string> arguments = options;
    arguments.push_back(Write("manifest", manifest_.Text()));
    auto run = std::async(std::launch::async, [&] { return RunZerovm(arguments); });
    char byte = 0;
    EXPECT_EQ(::read(word.get(), &byte, 1), 1);
    struct stat status{};
    EXPECT_EQ(::stat(Path("x").c_str(), &status), 0);
    EXPECT_LE(status.st_blocks, 16) << "no space is taken";
    writer.Reset();
    EXPECT_EQ(run.get().exit_code, 0);
    EXPECT_EQ(Content("x"), "data");
    return status.st_size;
  }
};

TEST_F(ZerovmOutputs, HaveTheirFullLengthMeanwhileAndTheRightOneAtTheEnd) {
  EXPECT_EQ(LengthMeanwhile({}), 100'000);
  EXPECT_EQ(LengthMeanwhile({"-P"}), 4);
}

TEST_F(ZerovmOutputs, AreCutAlsoWhenTheGuestIsStopped) {
  manifest_.program = Program("endless_loop");
  manifest_.standard_out = Channel(Path("out"), "/dev/stdout, 0, 0, 0, 0, 99, 99999");
  EXPECT_EQ(Cause({"--cpu-limit", "20"}), "cpu_limit");
  EXPECT_TRUE(std::filesystem::exists(Path("out")));
  EXPECT_EQ(std::filesystem::file_size(Path("out")), 0U);
}

// --- Several sources that are files ---

TEST_F(ZerovmOutputs, GoodFilesOutvoteABadOne) {
  Write("a", "good");
  Write("b", "evil");
  Write("c", "good");
  CopyText("");
  manifest_.standard_in = "Channel = " + Path("a") + ";" + Path("b") + ";" + Path("c") +
                          ", /dev/stdin, 0, 0, 9, 99, 0, 0";
  manifest_.standard_out =
      "Channel = " + Path("o1") + ";" + Path("o2") + ", /dev/stdout, 0, 0, 0, 0, 9, 99";
  const Outcome run = Start({"--report", "json"});
  EXPECT_EQ(run.exit_code, 0) << run.output;
  EXPECT_THAT(run.output, HasSubstr(R"("sources":3,"failed_sources":[],"outvoted_sources":[1])"));
  EXPECT_THAT(run.output, HasSubstr(R"("writes":3,"written_bytes":14})")) << "each source counts";
  EXPECT_EQ(Content("o1"), "good");
  EXPECT_EQ(Content("o2"), "good");
  Write("c", "bad!");
  EXPECT_EQ(Start().exit_code, 5);
}

// --- Manifests as they were ---

TEST_F(ZerovmReport, OldManifestRunsUnchanged) {
  Write("book.txt", "text");
  Write("nvram", "[args]\nargs = wc\n");
  Write("data.tar", std::string(1024, '\0'));
  // Rulers, sentences and blank lines between; keys in any order; no two blanks alike.
  const std::string text =
      "=====================================================================\n"
      "== Word count\n"
      "=====================================================================\n"
      "This line says nothing\r\n"
      "\n"
      "Channel = " +
      Path("book.txt") +
      ", /dev/stdin, 0, 0, 0x10000, 0x40000000, 0, 0\r\n"
      "Channel=" +
      Path("count.txt") +
      ",/dev/stdout,0,1,0,0,4096,1048576\n"
      "Channel = /dev/null, /dev/stderr, 0, 0, 0, 0, 99, 9999\n"
      "Channel = " +
      Path("nvram") +
      ", /dev/nvram, 3, 0, 99, 9999, 0, 0\n"
      "Channel = " +
      Path("data.tar") +
      " , /dev/1.data.tar , 3, 0, 99999, 1073741824, 0, 0\n"
      "  Version = 20130611\n" +
      Program("copy") +
      "\n"
      "Memory=67108864,0\nTimeout=30\nNode=1\nEtag=\nJob=\n"
      "NameServer=udp:127.0.0.1:54321\n";
  const Outcome run = RunZerovm({"-PQ", "-t0", "-v0", Write("wc.manifest", text)});
  EXPECT_EQ(run.exit_code, 0) << run.output;
  EXPECT_EQ(Content("count.txt"), "text");
  EXPECT_THAT(run.lines[3], MatchesRegex("/dev/stdout [0-9a-f]+"));
}

}  // namespace
}  // namespace zerocloud::runtime
