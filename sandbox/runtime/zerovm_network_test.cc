// Network channels and several sources end to end: groups of zerovm programs that run at once.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <spawn.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <cstdint>
#include <cstdlib>
#include <fstream>
#include <future>
#include <string>
#include <vector>

#include "sandbox/runtime/zerovm_fixture.h"

namespace zerocloud::runtime {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

// A zvm-name-server for so many nodes; ended with the test.
class NameServer {
 public:
  explicit NameServer(int nodes) {
    std::array<int, 2> ends{};
    EXPECT_EQ(::pipe2(ends.data(), O_CLOEXEC), 0);
    const UniqueFd read_end(ends[0]);
    UniqueFd write_end(ends[1]);
    posix_spawn_file_actions_t actions;
    ::posix_spawn_file_actions_init(&actions);
    ::posix_spawn_file_actions_adddup2(&actions, write_end.get(), STDOUT_FILENO);
    std::string program = ZEROCLOUD_NAME_SERVER;
    std::string count = std::to_string(nodes);
    std::array<char*, 3> argv = {program.data(), count.data(), nullptr};
    EXPECT_EQ(::posix_spawn(&pid_, program.c_str(), &actions, nullptr, argv.data(), environ), 0);
    ::posix_spawn_file_actions_destroy(&actions);
    write_end.Reset();
    for (char c = 0; ::read(read_end.get(), &c, 1) == 1 && c != '\n';) port_ += c;
  }
  NameServer(const NameServer&) = delete;
  NameServer& operator=(const NameServer&) = delete;
  ~NameServer() {
    ::kill(pid_, SIGKILL);
    ::waitpid(pid_, nullptr, 0);
  }
  [[nodiscard]] std::string Line() const { return "NameServer = udp:127.0.0.1:" + port_; }

 private:
  pid_t pid_ = -1;
  std::string port_;
};

std::string FreePort() {
  const UniqueFd socket(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof address;
  auto* const plain = reinterpret_cast<sockaddr*>(&address);
  EXPECT_EQ(::bind(socket.get(), plain, size), 0);
  EXPECT_EQ(::getsockname(socket.get(), plain, &size), 0);
  return std::to_string(ntohs(address.sin_port));
}

// Bytes that differ everywhere.
std::string Noise(std::size_t size) {
  std::string bytes(size, '\0');
  std::uint32_t seed = 7;
  for (char& byte : bytes) {
    seed = seed * 1664525 + 1013904223;
    byte = static_cast<char>(seed >> 24);
  }
  return bytes;
}

class ZerovmNetwork : public Zerovm {
 protected:
  // Starts a session of the group with what manifest_ is now.
  std::future<Outcome> Launch(const std::vector<std::string>& options = {"--report", "json"}) {
    std::vector<std::string> arguments = options;
    arguments.push_back(Write("manifest." + std::to_string(++launched_), manifest_.Text()));
    return std::async(std::launch::async, [arguments] { return RunZerovm(arguments); });
  }
  // A session that copies `from` to `to`.
  std::future<Outcome> Copier(const std::string& program, int node, const NameServer& names,
                              const std::string& from, const std::string& to) {
    manifest_ = {};
    manifest_.program = Program(program);
    manifest_.standard_in = Channel(from, "/dev/stdin, 0, 1, 999999, 0x40000000, 0, 0");
    manifest_.standard_out = Channel(to, "/dev/stdout, 0, 1, 0, 0, 999999, 0x40000000");
    manifest_.more = "Node = " + std::to_string(node) + "\n" + names.Line();
    return Launch();
  }
  int launched_ = 0;
};

void ExpectGood(std::future<Outcome>& session) {
  const Outcome run = session.get();
  EXPECT_EQ(run.exit_code, 0) << run.output;
  EXPECT_THAT(run.output, HasSubstr(R"("cause":"exited","exit_code":0,)"));
}

TEST_F(ZerovmNetwork, ChainOfThreeCopiesEveryByte) {
  const std::string bytes = Noise(std::size_t{32} << 20);
  const NameServer names(3);
  auto third = Copier("pump", 3, names, "tcp:2:", Path("out"));
  auto second = Copier("pump", 2, names, "tcp:1:", "tcp:3:");
  auto first = Copier("pump", 1, names, Write("in", bytes), "tcp:2:0");
  ExpectGood(first);
  ExpectGood(second);
  ExpectGood(third);
  EXPECT_TRUE(Content("out") == bytes);
}

// ZeroVM's bunchin: several writers, one reader that takes what two of them agree on.
TEST_F(ZerovmNetwork, ReaderTakesWhatMostWritersSay) {
  const std::string bytes = Noise(200'000);
  Write("in", bytes);
  Write("bad", "X" + bytes.substr(1));
  for (const int writers : {2, 3, 9}) {
    const NameServer names(writers + 1);
    std::vector<std::future<Outcome>> sessions;
    std::string sources;
    const bool has_liar = writers > 2;
    for (int i = 1; i <= writers; ++i) {
      sources += (i > 1 ? ";tcp:" : "tcp:") + std::to_string(i) + ":";
      sessions.push_back(
          Copier("copy", i, names, Path(has_liar && i == 2 ? "bad" : "in"), "tcp:100:"));
    }
    auto reader = Copier("copy", 100, names, sources, Path("out"));
    for (auto& session : sessions) ExpectGood(session);
    const Outcome run = reader.get();
    EXPECT_EQ(run.exit_code, 0) << run.output;
    EXPECT_THAT(run.output, HasSubstr(R"("sources":)" + std::to_string(writers) +
                                      R"(,"failed_sources":[],"outvoted_sources":[)" +
                                      (has_liar ? "1" : "") + "]"));
    EXPECT_TRUE(Content("out") == bytes) << writers;
  }
}

TEST_F(ZerovmNetwork, WritersThatDisagreeEndTheReader) {
  const NameServer names(3);
  auto first = Copier("copy", 1, names, Write("a", "aaaa"), "tcp:3:");
  auto second = Copier("copy", 2, names, Write("b", "bbbb"), "tcp:3:");
  auto reader = Copier("copy", 3, names, "tcp:1:;tcp:2:", Path("out"));
  const Outcome run = reader.get();
  EXPECT_EQ(run.exit_code, 5);
  EXPECT_THAT(run.output, HasSubstr("no two of its sources agree"));
  EXPECT_EQ(Content("out"), "");
  first.get();
  second.get();
}

// ZeroVM's bunchin_3_3: two channels between the same sessions, each voted on.
TEST_F(ZerovmNetwork, SeveralChannelsBetweenTheSameSessionsStayApart) {
  const NameServer names(4);
  std::vector<std::future<Outcome>> writers;
  for (int i = 1; i <= 3; ++i) {
    manifest_ = {};
    manifest_.program = Program("calls");
    manifest_.standard_out = "Channel = tcp:4:, /dev/stdout, 0, 0, 0, 0, 9, 999";
    manifest_.standard_err = "Channel = tcp:4:, /dev/stderr, 0, 0, 0, 0, 9, 999";
    // "data" to one, "read" of the constant to the other.
    manifest_.more =
        "Node = " + std::to_string(i) + "\n" + names.Line() + "\n" +
        Channel(Write("words", "w 1 d 0 4 0\nw 2 r 0 9 0\n"), "/dev/script, 3, 0, 9, 999, 0, 0") +
        "\n" + Channel(Path("sent" + std::to_string(i)), "/dev/result, 0, 0, 0, 0, 9, 999");
    writers.push_back(Launch());
  }
  manifest_ = {};
  const std::string kAll = "tcp:1:;tcp:2:;tcp:3:";
  manifest_.standard_in = Channel(kAll, "/dev/stdin, 0, 0, 9, 999, 0, 0");
  manifest_.standard_out = Channel(Path("out"), "/dev/stdout, 0, 0, 0, 0, 9, 999");
  manifest_.more = "Node = 4\n" + names.Line() + "\n" + Channel(kAll, "/dev/x, 0, 0, 9, 999, 0, 0");
  // Five bytes are asked for, so the call waits for the end.
  EXPECT_THAT(Calls("r 0 d 0 5 0\nw 1 d 0 4 0\nr 5 d 0 99 0\nw 1 d 0 9 0\n"),
              ElementsAre(4, 4, 9, 9));
  EXPECT_EQ(Content("out"), "dataread-only");
  for (auto& writer : writers) ExpectGood(writer);
}

// ZeroVM's bunchout: one writer, several readers.
TEST_F(ZerovmNetwork, WriterReachesEveryReader) {
  const std::string bytes = Noise(300'000);
  const NameServer names(4);
  std::vector<std::future<Outcome>> readers;
  for (int i = 2; i <= 4; ++i) {
    readers.push_back(Copier("pump", i, names, "tcp:1:", Path("out" + std::to_string(i))));
  }
  auto writer = Copier("pump", 1, names, Write("in", bytes), "tcp:2:;tcp:3:;tcp:4:");
  for (auto& reader : readers) ExpectGood(reader);
  const Outcome run = writer.get();
  EXPECT_EQ(run.exit_code, 0) << run.output;
  EXPECT_THAT(run.output, HasSubstr(R"("written_bytes":900000},"digest_kind")"));
  for (int i = 2; i <= 4; ++i) EXPECT_TRUE(Content("out" + std::to_string(i)) == bytes) << i;
}

TEST_F(ZerovmNetwork, AddressesNeedNoNameServer) {
  const std::string source = "tcp:127.0.0.1:" + FreePort();
  manifest_.program = Program("copy");
  manifest_.standard_in = Channel(Write("in", "hello"), "/dev/stdin, 0, 0, 9, 99, 0, 0");
  manifest_.standard_out = Channel(source, "/dev/stdout, 0, 1, 0, 0, 9, 99");
  auto writer = Launch({});
  manifest_.standard_in = Channel(source, "/dev/stdin, 0, 1, 9, 99, 0, 0");
  manifest_.standard_out = Channel(Path("out"), "/dev/stdout, 0, 1, 0, 0, 9, 99");
  const Outcome read = Start();
  const Outcome written = writer.get();
  EXPECT_EQ(Content("out"), "hello");
  // The report: reads and writes of the network are counted apart, digests of both ends are equal.
  EXPECT_THAT(read.lines[4], testing::EndsWith(" 0 0 2 11 1 5 0 0"));
  EXPECT_THAT(written.lines[4], testing::EndsWith(" 1 5 1 6 0 0 1 5"));
  constexpr const char* kSha1OfHello = "aaf4c61ddcc5e8a2dabede0f3b482cd9aea9434d";
  EXPECT_EQ(written.lines[3], std::string("/dev/stdout ") + kSha1OfHello);
  EXPECT_THAT(read.lines[3], HasSubstr(std::string("/dev/stdin ") + kSha1OfHello));
}

TEST_F(ZerovmNetwork, StreamOfASessionThatFailedBreaksItsReader) {
  const std::string source = "tcp:127.0.0.1:" + FreePort();
  manifest_.program = Program("fault_in_function");
  manifest_.standard_out = Channel(source, "/dev/stdout, 0, 0, 0, 0, 9, 99");
  auto writer = Launch();
  manifest_.program = Program("copy");
  manifest_.standard_in = Channel(source, "/dev/stdin, 0, 0, 9, 99, 0, 0");
  manifest_.standard_out = Channel(Path("out"), "/dev/stdout, 0, 0, 0, 0, 9, 99");
  const Outcome read = Start({"--report", "json"});
  EXPECT_EQ(writer.get().exit_code, 4);
  EXPECT_EQ(read.exit_code, 32);
  EXPECT_THAT(read.output, HasSubstr(R"("cause":"stream_broken","state":"/dev/stdin;0 broken)"));
}

TEST_F(ZerovmNetwork, NobodyAtTheOtherSideEndsAtTheTimeout) {
  manifest_.timeout = "Timeout = 1";
  manifest_.standard_in = Channel("tcp:127.0.0.1:" + FreePort(), "/dev/stdin, 0, 0, 9, 99, 0, 0");
  manifest_.standard_out = Channel(Path("out"), "/dev/stdout, 0, 0, 0, 0, 9, 99");
  const Outcome run = Start({"--report", "json"});
  EXPECT_EQ(run.exit_code, 4);
  EXPECT_THAT(run.output, HasSubstr(R"("cause":"peer_missing")"));
}

TEST_F(ZerovmNetwork, PortThatIsTakenIsNamedWithItsLine) {
  const UniqueFd socket(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof address;
  auto* const plain = reinterpret_cast<sockaddr*>(&address);
  ASSERT_EQ(::bind(socket.get(), plain, size), 0);
  ASSERT_EQ(::listen(socket.get(), 1), 0);
  ASSERT_EQ(::getsockname(socket.get(), plain, &size), 0);
  manifest_.standard_in = Channel("tcp:127.0.0.1:" + std::to_string(ntohs(address.sin_port)),
                                  "/dev/stdin, 0, 0, 9, 99, 0, 0");
  const Outcome run = Start({"--report", "json"});
  EXPECT_EQ(run.exit_code, 11);
  EXPECT_THAT(run.output, HasSubstr(R"("cause":"network_unusable","state":"MANIFEST 5: Channel: )"
                                    R"(source: /dev/stdin (tcp:127.0.0.1:)"));
}

// ZeroVM's simple_copy: endless, so it ends by the timeout, on both sides.
TEST_F(ZerovmNetwork, EndlessCopyEndsAtTheTimeout) {
  const std::string source = "tcp:127.0.0.1:" + FreePort();
  manifest_.program = Program("pump");
  manifest_.timeout = "Timeout = 1";
  manifest_.standard_in =
      Channel("/dev/zero", "/dev/stdin, 0, 0, 0x7fffffff, 0x7fffffffffff, 0, 0");
  manifest_.standard_out = Channel(source, "/dev/stdout, 0, 0, 0, 0, 0x7fffffff, 0x7fffffffffff");
  auto writer = Launch();
  manifest_.timeout = "Timeout = 30";
  manifest_.standard_in = Channel(source, "/dev/stdin, 0, 0, 0x7fffffff, 0x7fffffffffff, 0, 0");
  manifest_.standard_out =
      Channel("/dev/null", "/dev/stdout, 0, 0, 0, 0, 0x7fffffff, 0x7fffffffffff");
  const Outcome read = Start({"--report", "json"});
  const Outcome written = writer.get();
  EXPECT_EQ(written.exit_code, 4);
  EXPECT_THAT(written.output, HasSubstr(R"("cause":"timed_out")"));
  EXPECT_EQ(read.exit_code, 32) << read.output;
}

// ZeroVM's simple_copy_fin: a whole file; of 4 GiB where there is time for it.
TEST_F(ZerovmNetwork, LargeFileArrivesWhole) {
  const std::string block = Noise(std::size_t{32} << 20);
  const bool has_time = std::getenv("ZEROCLOUD_SWIFT_FULL") != nullptr;
  const std::uint64_t blocks = has_time ? 128 : 8;
  std::ofstream in(Path("in"), std::ios::binary);
  for (std::uint64_t k = 0; k < blocks; ++k) in << block;
  in.close();
  const std::string source = "tcp:127.0.0.1:" + FreePort();
  const std::string limits = "9999999, 0x200000000";
  manifest_.program = Program("pump");
  manifest_.timeout = "Timeout = 600";
  manifest_.standard_in = Channel(Path("in"), "/dev/stdin, 0, 1, " + limits + ", 0, 0");
  manifest_.standard_out = Channel(source, "/dev/stdout, 0, 0, 0, 0, " + limits);
  auto writer = Launch();
  manifest_.standard_in = Channel(source, "/dev/stdin, 0, 0, " + limits + ", 0, 0");
  manifest_.standard_out = Channel("/dev/null", "/dev/stdout, 0, 1, 0, 0, " + limits);
  const Outcome read = Start({"--report", "json"});
  const Outcome written = writer.get();
  EXPECT_EQ(read.exit_code, 0) << read.output;
  EXPECT_EQ(written.exit_code, 0) << written.output;
  const auto value = [](const std::string& json, const std::string& key) {
    const std::size_t at = json.find("\"" + key + "\":");
    return at == std::string::npos ? "none" : json.substr(at, json.find_first_of(",}", at) - at);
  };
  // What one guest read from its file, the other wrote to its output; and so said the link.
  EXPECT_EQ(value(written.output, "digest"), value(read.output, "digest"));
  EXPECT_THAT(value(read.output, "digest"), testing::MatchesRegex(".digest.:.[0-9a-f]{64}."));
  EXPECT_THAT(read.output, HasSubstr("\"bytes\":" + std::to_string(blocks * block.size())));
}

// ZeroVM's bunchin_3_hello and bunchout_3_hello.
TEST_F(ZerovmNetwork, SmallMessagesOfAndToThree) {
  Write("in", "hello");
  {
    const NameServer names(4);
    std::vector<std::future<Outcome>> sessions;
    for (int i = 1; i <= 3; ++i) {
      sessions.push_back(Copier("copy", i, names, Path("in"), "tcp:4:"));
    }
    sessions.push_back(Copier("copy", 4, names, "tcp:1:;tcp:2:;tcp:3:", Path("out")));
    for (auto& session : sessions) ExpectGood(session);
    EXPECT_EQ(Content("out"), "hello");
  }
  const NameServer names(4);
  std::vector<std::future<Outcome>> sessions;
  for (int i = 2; i <= 4; ++i) {
    sessions.push_back(Copier("copy", i, names, "tcp:1:", Path("out" + std::to_string(i))));
  }
  sessions.push_back(Copier("copy", 1, names, Path("in"), "tcp:2:;tcp:3:;tcp:4:"));
  for (auto& session : sessions) ExpectGood(session);
  for (int i = 2; i <= 4; ++i) EXPECT_EQ(Content("out" + std::to_string(i)), "hello") << i;
}

// ZeroVM's bunchin_2_inf and bunchout_3_inf: nobody stops by himself, and no side outlives the
// timeout of the other.
TEST_F(ZerovmNetwork, EndlessBunchesEndAtTheTimeout) {
  struct Bunch {
    int writers, readers;
  };
  for (const Bunch& bunch : {Bunch{2, 1}, Bunch{1, 3}}) {
    const NameServer names(bunch.writers + bunch.readers);
    const auto sources = [](int first, int count) {
      std::string all;
      for (int i = first; i < first + count; ++i) {
        all += (i > first ? ";tcp:" : "tcp:") + std::to_string(i) + ":";
      }
      return all;
    };
    const std::string limits = "0x7fffffff, 0x7fffffffffff";
    std::vector<std::future<Outcome>> writers, readers;
    for (int i = 1; i <= bunch.writers + bunch.readers; ++i) {
      const bool is_writer = i <= bunch.writers;
      manifest_ = {};
      manifest_.program = Program("pump");
      manifest_.timeout = is_writer ? "Timeout = 2" : "Timeout = 60";
      manifest_.standard_in = Channel(is_writer ? "/dev/zero" : sources(1, bunch.writers),
                                      "/dev/stdin, 0, 0, " + limits + ", 0, 0");
      manifest_.standard_out =
          Channel(is_writer ? sources(1 + bunch.writers, bunch.readers) : "/dev/null",
                  "/dev/stdout, 0, 0, 0, 0, " + limits);
      manifest_.more = "Node = " + std::to_string(i) + "\n" + names.Line();
      (is_writer ? writers : readers).push_back(Launch());
    }
    for (auto& session : writers) {
      const Outcome run = session.get();
      // Whoever's timeout comes first ends the other writers' reader too, and so their streams.
      EXPECT_TRUE(run.exit_code == 4 || run.exit_code == 32) << run.output;
    }
    for (auto& session : readers) {
      const Outcome run = session.get();
      // 0: the guest of a writer to several, one of whose links had its timeout first, sees EPIPE
      // and calls exit, which ends its other streams well.
      const bool may_be_whole = bunch.readers > 1 && run.exit_code == 0;
      EXPECT_TRUE(run.exit_code == 5 || run.exit_code == 32 || may_be_whole) << run.output;
    }
  }
}

}  // namespace
}  // namespace zerocloud::runtime
