// Daemon mode end to end: the zerovm program, a guest that forks, and clients on the socket.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

#include "channels/base/unique_fd.h"
#include "sandbox/runtime/daemon_protocol.h"

namespace zerocloud::runtime {
namespace {

using testing::HasSubstr;
using testing::StartsWith;

std::string ReadAll(int fd) {
  std::string text;
  std::array<char, 4096> buffer{};
  for (ssize_t count = 0; (count = ::read(fd, buffer.data(), buffer.size())) > 0;) {
    text.append(buffer.data(), static_cast<std::size_t>(count));
  }
  return text;
}

std::string Line(const std::string& text, int number) {
  std::istringstream stream(text);
  std::string line;
  for (int i = 0; i < number; ++i) std::getline(stream, line);
  return line;
}

class DaemonTest : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = testing::TempDir() + "daemon.XXXXXX";
    ASSERT_NE(::mkdtemp(pattern.data()), nullptr);
    directory_ = pattern;
  }
  void TearDown() override {
    if (pidfd_.is_open()) EndDaemon();
    std::filesystem::remove_all(directory_);
  }

  [[nodiscard]] std::string Path(const std::string& name) const { return directory_ + "/" + name; }
  [[nodiscard]] std::string Content(const std::string& name) const {
    std::ifstream file(Path(name), std::ios::binary);
    return {std::istreambuf_iterator<char>(file), {}};
  }

  // A manifest whose outputs are NAME.out and NAME.err.
  [[nodiscard]] std::string Manifest(const std::string& name, const std::string& input = "",
                                     const std::string& guest = "fork") const {
    std::ofstream(Path(name + ".in")) << input;
    return "Version = 20130611\nProgram = " ZEROCLOUD_CHANNEL_GUESTS + guest +
           "\nMemory = 67108864, 0\nTimeout = 20\nJob = " + Path("socket") +
           "\nChannel = " + Path(name + ".in") + ", /dev/stdin, 0, 0, 99, 999, 0, 0" +
           "\nChannel = " + Path(name + ".out") + ", /dev/stdout, 0, 0, 0, 0, 99, 999" +
           "\nChannel = " + Path(name + ".err") + ", /dev/stderr, 0, 1, 0, 0, 99, 999\n";
  }

  // Runs `zerovm` until it exits; what it printed.
  std::string RunZerovm(const std::string& manifest, int* exit_code = nullptr,
                        std::string option = "") const {
    std::ofstream(Path("manifest")) << manifest;
    std::array<int, 2> ends{};
    EXPECT_EQ(::pipe2(ends.data(), O_CLOEXEC), 0);
    const UniqueFd read_end(ends[0]);
    UniqueFd write_end(ends[1]);
    posix_spawn_file_actions_t actions;
    ::posix_spawn_file_actions_init(&actions);
    ::posix_spawn_file_actions_adddup2(&actions, write_end.get(), STDOUT_FILENO);
    std::string program = ZEROCLOUD_ZEROVM, path = Path("manifest");
    char* const argv[] = {program.data(), path.data(), option.empty() ? nullptr : option.data(),
                          nullptr};
    pid_t pid = -1;
    EXPECT_EQ(::posix_spawn(&pid, program.c_str(), &actions, nullptr, argv, environ), 0);
    ::posix_spawn_file_actions_destroy(&actions);
    write_end.Reset();
    const std::string report = ReadAll(read_end.get());  // ends although a daemon lives on
    int status = 0;
    EXPECT_EQ(::waitpid(pid, &status, 0), pid);
    if (exit_code != nullptr) *exit_code = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
    return report;
  }

  // Becomes a daemon, and finds its process by its socket.
  void StartDaemon(const std::string& guest = "fork", const std::string& option = "") {
    int exit_code = -1;
    const std::string report = RunZerovm(Manifest("first", "", guest), &exit_code, option);
    ASSERT_EQ(exit_code, 0) << report;
    ASSERT_EQ(Line(report, 2), "1") << report;
    const UniqueFd client = Connect();
    ucred peer{};
    socklen_t size = sizeof peer;
    ASSERT_EQ(::getsockopt(client.get(), SOL_SOCKET, SO_PEERCRED, &peer, &size), 0);
    daemon_ = peer.pid;
    pidfd_.Reset(static_cast<int>(::syscall(SYS_pidfd_open, daemon_, 0)));
    ASSERT_TRUE(pidfd_.is_open());
  }

  bool EndDaemon() {
    ::syscall(SYS_pidfd_send_signal, pidfd_.get(), SIGTERM, nullptr, 0);
    pollfd ended{pidfd_.get(), POLLIN, 0};
    const bool has_ended = ::poll(&ended, 1, 10000) == 1;
    pidfd_.Reset();
    return has_ended;
  }

  [[nodiscard]] UniqueFd Connect() const {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::strcpy(address.sun_path, Path("socket").c_str());
    UniqueFd client(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    const int connected =
        ::connect(client.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address);
    if (connected != 0) client.Reset();
    return client;
  }

  // Sends bytes as they are; the report without its length.
  [[nodiscard]] std::string Ask(const std::string& bytes) const {
    const UniqueFd client = Connect();
    if (!client.is_open()) return "cannot connect";
    EXPECT_EQ(::send(client.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL),
              static_cast<ssize_t>(bytes.size()));
    ::shutdown(client.get(), SHUT_WR);
    const std::string frame = ReadAll(client.get());
    if (frame.size() < kFrameHeaderSize) return "no answer";
    EXPECT_EQ(std::stoul(frame.substr(2, 6), nullptr, 16), frame.size() - kFrameHeaderSize);
    return frame.substr(kFrameHeaderSize);
  }

  std::string directory_;
  pid_t daemon_ = -1;
  UniqueFd pidfd_;
};

TEST_F(DaemonTest, TextBeforeTheForkIsTheFirstSessionsAndTextAfterTheOthers) {
  StartDaemon();
  EXPECT_EQ(Content("first.err"), "before fork!!\n");
  EXPECT_EQ(Content("first.out"), "");
  for (const char* name : {"one", "two"}) {
    const std::string report = Ask(Frame(Manifest(name, name)));
    EXPECT_EQ(Line(report, 1), "0") << report;
    EXPECT_EQ(Line(report, 2), "0") << "it is no daemon";
    EXPECT_EQ(Line(report, 3), "7") << "the guest's exit code";
    EXPECT_THAT(Line(report, 5), HasSubstr(" 1 3 2 8 ")) << "counts only what is its own";
    EXPECT_EQ(Line(report, 6), "ok");
    EXPECT_EQ(Content(std::string(name) + ".out"), name);
    EXPECT_EQ(Content(std::string(name) + ".err"), std::string(14, '\0') + "after");
  }
  EXPECT_EQ(Content("first.err"), "before fork!!\n") << "nobody touches it any more";
}

// The limits that the program was started with are those of every session.
TEST_F(DaemonTest, SessionsHaveTheLimitsOfTheProgram) {
  StartDaemon("fork_spin", "--cpu-limit=100");
  const std::string report = Ask(Frame(Manifest("endless")));
  EXPECT_THAT(Line(report, 6), HasSubstr("more processor time than its limit of 100000 us"));
}

TEST_F(DaemonTest, SessionsHaveTheMemoryLimitOfTheProgram) {
  StartDaemon("fork_spin", "--memory-limit=4000000");
  const std::string report = Ask(Frame(Manifest("large", "m")));
  EXPECT_THAT(Line(report, 6), HasSubstr("more memory than its limit of 4000000 bytes"));
}

// What is typed at the terminal that the daemon was started from ends neither its zygote nor the
// sessions of it.
TEST_F(DaemonTest, ZygoteHasLeftTheTerminal) {
  StartDaemon();
  int count = 0;
  for (const auto& task :
       std::filesystem::directory_iterator("/proc/" + std::to_string(daemon_) + "/task")) {
    std::ifstream children(task.path() / "children");
    for (pid_t child = -1; children >> child; ++count) {
      EXPECT_NE(::getsid(child), ::getsid(0)) << child;
      EXPECT_NE(::getpgid(child), ::getpgid(0)) << child;
      EXPECT_NE(::getpgid(child), ::getpgid(daemon_)) << child;
    }
  }
  if (count == 0) GTEST_SKIP() << "no zygote here";
}

TEST_F(DaemonTest, WithoutAJobForkReturnsAtOnce) {
  std::string manifest = Manifest("alone", "x");
  manifest.erase(manifest.find("Job"), manifest.find("\nChannel") - manifest.find("Job"));
  const std::string report = RunZerovm(manifest);
  EXPECT_EQ(Line(report, 2), "0");
  EXPECT_EQ(Line(report, 3), "7");
  EXPECT_EQ(Content("alone.err"), "before fork!!\nafter");
}

TEST_F(DaemonTest, JobWithoutForkLeavesNothing) {
  int exit_code = -1;
  const std::string report = RunZerovm(Manifest("plain", "", "exit_1234"), &exit_code);
  EXPECT_EQ(exit_code, 0);
  EXPECT_EQ(Line(report, 2), "0");
  EXPECT_EQ(Line(report, 3), "1234");
  EXPECT_FALSE(std::filesystem::exists(Path("socket")));
}

TEST_F(DaemonTest, OnlyItsUserCanOpenTheSocket) {
  StartDaemon();
  struct stat status{};
  ASSERT_EQ(::stat(Path("socket").c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 07777, 0600U);
  if (::geteuid() != 0) return;  // nobody else to try as
  // Somebody else, for whom even the file is opened: the daemon asks the kernel who it is.
  ASSERT_EQ(::chmod(Path("socket").c_str(), 0666), 0);
  ASSERT_EQ(::chmod(directory_.c_str(), 0755), 0);
  const std::string request = Frame(Manifest("other"));
  const pid_t child = ::fork();
  if (child == 0) {
    if (::setresuid(65534, 65534, 65534) != 0) ::_exit(2);
    const UniqueFd client = Connect();
    if (!client.is_open()) ::_exit(3);
    ::send(client.get(), request.data(), request.size(), MSG_NOSIGNAL);
    char byte = 0;
    ::_exit(::read(client.get(), &byte, 1) <= 0 ? 0 : 1);
  }
  int ended = -1;
  ASSERT_EQ(::waitpid(child, &ended, 0), child);
  EXPECT_EQ(ended, 0) << "a stranger got an answer";
  EXPECT_FALSE(std::filesystem::exists(Path("other.out")));
  EXPECT_EQ(Line(Ask(Frame(Manifest("own", ""))), 6), "ok");
}

TEST_F(DaemonTest, WhatIsNoRequestIsAnsweredWithTheReason) {
  StartDaemon();
  EXPECT_THAT(Line(Ask("GET / HTTP/1.1\r\n\r\n"), 6), HasSubstr("does not begin with its length"));
  EXPECT_THAT(Line(Ask("0xffffff"), 6), HasSubstr("16777215 bytes; the limit is 524288"));
  EXPECT_THAT(Line(Ask("0x000000"), 6), HasSubstr("its length is 0"));
  EXPECT_THAT(Line(Ask("0x000100Version"), 6), HasSubstr("ended before its manifest did"));
  EXPECT_THAT(Line(Ask(""), 6), HasSubstr("ended before"));
  EXPECT_THAT(Line(Ask(Frame("no manifest")), 6), StartsWith("MANIFEST"));
  EXPECT_EQ(Line(Ask(Frame(Manifest("last"))), 6), "ok") << "it lives on";
}

TEST_F(DaemonTest, ChannelsThatDifferAreNamedAndNothingIsCreated) {
  StartDaemon();
  std::string manifest = Manifest("bad");
  manifest.replace(manifest.find("/dev/stdout, 0, 0, 0, 0, 99"), 27, "/dev/stdout, 0, 0, 0, 0, 98");
  EXPECT_EQ(Line(Ask(Frame(manifest)), 6),
            "MANIFEST: /dev/stdout has another limit than at the fork");
  manifest = Manifest("bad") + "Channel = /dev/null, /dev/more, 0, 0, 1, 1, 0, 0\n";
  EXPECT_EQ(Line(Ask(Frame(manifest)), 6), "MANIFEST: 4 channels, and 3 at the fork");
  EXPECT_FALSE(std::filesystem::exists(Path("bad.out")));
  EXPECT_FALSE(std::filesystem::exists(Path("bad.err")));
}

TEST_F(DaemonTest, SessionsRunAtTheSameTimeAndLeaveNoZombies) {
  StartDaemon();
  constexpr int kClients = 100;  // more than run at once
  std::vector<std::thread> clients;
  clients.reserve(kClients);
  std::array<std::string, kClients> states;
  std::array<std::string, kClients> requests;
  for (int i = 0; i < kClients; ++i) {
    const std::string name = "c" + std::to_string(i);
    requests[static_cast<std::size_t>(i)] = Frame(Manifest(name, name));
  }
  for (std::size_t i = 0; i < kClients; ++i) {
    clients.emplace_back([&, i] { states[i] = Line(Ask(requests[i]), 6); });
  }
  for (std::thread& client : clients) client.join();
  for (int i = 0; i < kClients; ++i) {
    EXPECT_EQ(states[static_cast<std::size_t>(i)], "ok") << i;
    EXPECT_EQ(Content("c" + std::to_string(i) + ".out"), "c" + std::to_string(i));
  }
  std::ifstream children("/proc/" + std::to_string(daemon_) + "/task/" + std::to_string(daemon_) +
                         "/children");
  std::string pid;
  while (children >> pid) {
    std::ifstream stat("/proc/" + pid + "/stat");
    std::string text;
    std::getline(stat, text);
    EXPECT_EQ(text.find(") Z "), std::string::npos) << text;
  }
}

TEST_F(DaemonTest, TerminationRemovesTheSocket) {
  StartDaemon();
  EXPECT_TRUE(std::filesystem::exists(Path("socket")));
  EXPECT_TRUE(EndDaemon());
  EXPECT_FALSE(std::filesystem::exists(Path("socket")));
}

TEST_F(DaemonTest, TerminationWhileAClientIsSilent) {
  StartDaemon();
  const UniqueFd silent = Connect();
  ASSERT_TRUE(silent.is_open());
  ASSERT_EQ(::send(silent.get(), "0x0000", 6, MSG_NOSIGNAL), 6);
  EXPECT_EQ(Line(Ask(Frame(Manifest("other"))), 6), "ok") << "one client does not block another";
  EXPECT_TRUE(EndDaemon());
  EXPECT_EQ(ReadAll(silent.get()), "");
}

TEST_F(DaemonTest, SecondDaemonOnTheSameSocketIsRefused) {
  StartDaemon();
  int exit_code = -1;
  const std::string report = RunZerovm(Manifest("second"), &exit_code);
  EXPECT_EQ(exit_code, 5);
  EXPECT_EQ(Line(report, 2), "0");
  EXPECT_THAT(Line(report, 6), HasSubstr("listens on " + Path("socket") + " already"));
  EXPECT_EQ(Line(Ask(Frame(Manifest("one"))), 6), "ok");
}

TEST_F(DaemonTest, SocketOfADeadDaemonIsReplacedButNoOtherFile) {
  StartDaemon();
  ::syscall(SYS_pidfd_send_signal, pidfd_.get(), SIGKILL, nullptr, 0);
  pollfd ended{pidfd_.get(), POLLIN, 0};
  ASSERT_EQ(::poll(&ended, 1, 10000), 1);
  pidfd_.Reset();
  EXPECT_TRUE(std::filesystem::exists(Path("socket")));
  StartDaemon();
  EXPECT_EQ(Line(Ask(Frame(Manifest("one"))), 6), "ok");
  EXPECT_TRUE(EndDaemon());

  std::ofstream(Path("socket")) << "precious";
  int exit_code = -1;
  EXPECT_THAT(RunZerovm(Manifest("two"), &exit_code), HasSubstr("exists and is no socket"));
  EXPECT_EQ(exit_code, 5);
  EXPECT_EQ(Content("socket"), "precious");
}

TEST_F(DaemonTest, CodeThatTheGuestMadeIsStillThere) {
  StartDaemon("fork_jail");
  const std::string report = Ask(Frame(Manifest("one")));
  EXPECT_EQ(Line(report, 3), "42") << report;
  EXPECT_EQ(Line(report, 6), "ok");
}

}  // namespace
}  // namespace zerocloud::runtime
