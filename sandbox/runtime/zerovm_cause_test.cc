// Every cause of the closed list (run_cause.h), provoked through the zerovm program: a row of
// kCases for each. The list and the rows are compared, so that no cause can be without one.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <future>
#include <set>
#include <string>
#include <vector>

#include "sandbox/runtime/run_cause.h"
#include "sandbox/runtime/zerovm_fixture.h"

namespace zerocloud::runtime {
namespace {

class ZerovmCause : public Zerovm {
 public:
  // --- Before there is a session ---
  void Verified() { options_ = {"-F"}; }
  void ManifestUnreadable() { manifest_path_ = Path("none"); }
  void ManifestInvalid() { manifest_.timeout = "Timeout = 0"; }
  void ProgramUnreadable() { manifest_.program = "Program = " + Path("none"); }
  void ProgramRejected() { manifest_.program = "Program = /proc/self/exe"; }
  void MemoryInvalid() { manifest_.memory = "Memory = 16777217, 0"; }
  void ChannelUnusable() {
    manifest_.standard_in = Channel(Path("none"), "/dev/stdin, 0, 0, 1, 1, 0, 0");
  }
  void PeerMissing() {
    EXPECT_EQ(::mkfifo(Path("fifo").c_str(), 0600), 0);
    manifest_.standard_in = Channel(Path("fifo"), "/dev/stdin, 0, 0, 9, 99, 0, 0");
    manifest_.timeout = "Timeout = 1";
  }
  void NetworkUnusable() {  // an address for documentation: this host does not have it
    manifest_.standard_in = Channel("tcp:192.0.2.1:4000", "/dev/stdin, 0, 0, 9, 99, 0, 0");
  }
  void HostUnavailable() {
    constexpr int kMore = 60;
    for (int i = 0; i < kMore; ++i) {
      manifest_.more += Channel("/dev/null", "/dev/" + std::to_string(i) + ", 0, 0, 9, 99, 0, 0\n");
    }
    limits_ = "ulimit -n 40; ";
  }

  // --- How sessions end ---
  void Exited() {}
  void Forked() {
    manifest_.program = Program("fork");
    manifest_.more = "Job = " + Path("job");
  }
  void Faulted() { manifest_.program = Program("fault_in_function"); }
  void TimedOut() {
    manifest_.program = Program("endless_loop");
    manifest_.timeout = "Timeout = 1";
  }
  void CpuLimit() {
    manifest_.program = Program("endless_loop");
    options_ = {"--cpu-limit", "20"};
  }
  void MemoryLimit() {
    manifest_.program = Program("hold_memory");
    manifest_.memory = "Memory = 268435456, 0";
    options_ = {"--memory-limit", "20000000"};
  }
  // By an operator, while it waits for a debugger: so its process is known, and does not end first.
  void Killed() {
    EXPECT_EQ(::mkfifo(Path("log").c_str(), 0600), 0);
    options_ = {"--debug"};
    redirection_ = " 2>" + Path("log");
    meanwhile_ = [this] {
      std::string word;
      pid_t session = -1;
      std::ifstream log(Path("log"));
      if (log >> word >> word >> session) ::kill(session, SIGKILL);
      EXPECT_GT(session, 0);
    };
  }
  // A guest that makes system calls does not pass the verifier: a zerovm that has none runs it.
  void Violated() {
    zerovm_ = ZEROCLOUD_ZEROVM_UNVERIFIED;
    manifest_.program = "Program = " ZEROCLOUD_EXPLOITS;
    manifest_.standard_in =
        Channel(Write("orders", "create_file " + Path("made")), "/dev/stdin, 0, 0, 9, 999, 0, 0");
  }
  // Beside zerovm is a launcher that does not set up anything.
  void HostError() {
    std::filesystem::create_directory(Path("bin"));
    std::filesystem::copy_file(ZEROCLOUD_ZEROVM, Path("bin/zerovm"));
    std::filesystem::copy_file("/bin/true", Path("bin/zvm-session"));
    zerovm_ = Path("bin/zerovm");
  }
  void ChannelIo() {
    CopyText();
    manifest_.standard_out = "Channel = /dev/full, /dev/stdout, 0, 0, 0, 0, 99, 99999";
  }
  // The reader at the other end goes before it has said that everything has come.
  void StreamBroken() {
    CopyText();
    listener_.Reset(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof address;
    auto* const plain = reinterpret_cast<sockaddr*>(&address);
    EXPECT_EQ(::bind(listener_.get(), plain, size), 0);
    EXPECT_EQ(::listen(listener_.get(), 1), 0);
    EXPECT_EQ(::getsockname(listener_.get(), plain, &size), 0);
    manifest_.standard_out =
        Channel("tcp:127.0.0.1:" + std::to_string(ntohs(address.sin_port)) + "",
                "/dev/stdout, 0, 0, 0, 0, 99, 99999");
    meanwhile_ = [this] {
      const UniqueFd writer(::accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC));
      std::array<char, 16> hello{};
      EXPECT_EQ(::recv(writer.get(), hello.data(), hello.size(), MSG_WAITALL), 16);
      EXPECT_EQ(::send(writer.get(), "ZVMTCPOK", 8, MSG_NOSIGNAL), 8);
    };
  }
  void DiskQuota() {
    CopyText(std::size_t{2} << 20);
    limits_ = "ulimit -f 2048; ";  // of 512 bytes
  }
  // A file that was sealed against becoming shorter while the session ran.
  void OutputUncut() {
    file_.Reset(::memfd_create("output", MFD_CLOEXEC | MFD_ALLOW_SEALING));
    EXPECT_EQ(::mkfifo(Path("fifo").c_str(), 0600), 0);
    EXPECT_EQ(::mkfifo(Path("word").c_str(), 0600), 0);
    manifest_.program = Program("calls");
    manifest_.standard_in = Channel(Path("fifo"), "/dev/stdin, 0, 0, 9, 99, 0, 0");
    manifest_.standard_out = Channel(Path("word"), "/dev/stdout, 0, 0, 0, 0, 9, 99");
    manifest_.more =
        Channel("/proc/" + std::to_string(::getpid()) + "/fd/" + std::to_string(file_.get()),
                "/dev/x, 0, 0, 0, 0, 9, 100000\n") +
        Channel(Write("script", WriteX(4, 0) + "w 1 d 0 1 0\nr 0 d 0 1 0\n"),
                "/dev/script, 3, 0, 9, 999, 0, 0\n") +
        Channel(Path("result"), "/dev/result, 0, 0, 0, 0, 9, 999");
    meanwhile_ = [this] {
      const UniqueFd writer(::open(Path("fifo").c_str(), O_WRONLY | O_CLOEXEC));
      const UniqueFd word(::open(Path("word").c_str(), O_RDONLY | O_CLOEXEC));
      char byte = 0;
      EXPECT_EQ(::read(word.get(), &byte, 1), 1);  // the guest has written, and goes on to wait
      EXPECT_EQ(::fcntl(file_.get(), F_ADD_SEALS, F_SEAL_SHRINK), 0);
    };
  }

  // What the report says.
  std::string Cause() {
    std::string command = limits_ + "exec \"$0\" \"$@\"" + redirection_;
    std::vector<std::string> arguments = {"-c", command, zerovm_, "--report", "json"};
    arguments.insert(arguments.end(), options_.begin(), options_.end());
    const std::string written = Write("manifest", manifest_.Text());
    arguments.push_back(manifest_path_.empty() ? written : manifest_path_);
    auto run = std::async(std::launch::async, [&] { return RunProgram("/bin/sh", arguments); });
    if (meanwhile_) meanwhile_();
    output_ = run.get().output;
    const std::string key = R"("cause":")";
    const std::size_t at = output_.find(key);
    if (at == std::string::npos) return "none";
    return output_.substr(at + key.size(), output_.find('"', at + key.size()) - at - key.size());
  }
  [[nodiscard]] const std::string& output() const { return output_; }

 protected:
  void TearDown() override {
    if (std::filesystem::exists(Path("job"))) EndDaemon();
    Zerovm::TearDown();
  }

 private:
  void CopyText(std::size_t size = 3) {
    manifest_.program = Program("copy");
    manifest_.standard_in =
        Channel(Write("in", std::string(size, 'x')), "/dev/stdin, 0, 0, 9999, 99999999, 0, 0");
    manifest_.standard_out = Channel(Path("out"), "/dev/stdout, 0, 0, 0, 0, 9999, 99999999");
  }
  void EndDaemon() {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::strcpy(address.sun_path, Path("job").c_str());
    const UniqueFd client(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    ucred peer{};
    socklen_t size = sizeof peer;
    ASSERT_EQ(::connect(client.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address),
              0);
    ASSERT_EQ(::getsockopt(client.get(), SOL_SOCKET, SO_PEERCRED, &peer, &size), 0);
    const UniqueFd daemon(static_cast<int>(::syscall(SYS_pidfd_open, peer.pid, 0)));
    ::syscall(SYS_pidfd_send_signal, daemon.get(), SIGTERM, nullptr, 0);
    pollfd ended{daemon.get(), POLLIN, 0};
    EXPECT_EQ(::poll(&ended, 1, -1), 1);
  }

  std::string zerovm_ = ZEROCLOUD_ZEROVM;
  std::string manifest_path_, limits_, redirection_;
  std::vector<std::string> options_;
  std::function<void()> meanwhile_;  // while zerovm runs
  UniqueFd listener_, file_;
  std::string output_;
};

struct Case {
  const char* cause;
  void (ZerovmCause::*prepare)();
};

constexpr Case kCases[] = {
    {"verified", &ZerovmCause::Verified},
    {"manifest_unreadable", &ZerovmCause::ManifestUnreadable},
    {"manifest_invalid", &ZerovmCause::ManifestInvalid},
    {"program_unreadable", &ZerovmCause::ProgramUnreadable},
    {"program_rejected", &ZerovmCause::ProgramRejected},
    {"memory_invalid", &ZerovmCause::MemoryInvalid},
    {"channel_unusable", &ZerovmCause::ChannelUnusable},
    {"peer_missing", &ZerovmCause::PeerMissing},
    {"network_unusable", &ZerovmCause::NetworkUnusable},
    {"host_unavailable", &ZerovmCause::HostUnavailable},
    {"exited", &ZerovmCause::Exited},
    {"forked", &ZerovmCause::Forked},
    {"faulted", &ZerovmCause::Faulted},
    {"timed_out", &ZerovmCause::TimedOut},
    {"killed", &ZerovmCause::Killed},
    {"cpu_limit", &ZerovmCause::CpuLimit},
    {"memory_limit", &ZerovmCause::MemoryLimit},
    {"channel_io", &ZerovmCause::ChannelIo},
    {"violated", &ZerovmCause::Violated},
    {"host_error", &ZerovmCause::HostError},
    {"stream_broken", &ZerovmCause::StreamBroken},
    {"disk_quota", &ZerovmCause::DiskQuota},
    {"output_uncut", &ZerovmCause::OutputUncut},
};

TEST(ZerovmCauses, EachOfTheListIsProvokedHere) {
  std::multiset<std::string_view> listed, provoked;
  for (const RunCause& cause : kRunCauses) listed.insert(cause.name);
  for (const Case& one : kCases) provoked.insert(one.cause);
  EXPECT_EQ(listed, provoked);
}

class ZerovmCauseCase : public ZerovmCause, public testing::WithParamInterface<Case> {};

TEST_P(ZerovmCauseCase, StandsInTheReport) {
  (this->*GetParam().prepare)();
  EXPECT_EQ(Cause(), GetParam().cause) << output();
}

INSTANTIATE_TEST_SUITE_P(All, ZerovmCauseCase, testing::ValuesIn(kCases),
                         [](const auto& info) { return std::string(info.param.cause); });

}  // namespace
}  // namespace zerocloud::runtime
