#include "sandbox/zvsh/process.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdlib>
#include <string_view>
#include <utility>

namespace zerocloud::zvsh {
namespace {

constexpr int kCannotRun = 127;  // as of a shell

// The child gets the usual signals, and has nothing of ours but what it was given.
void PrepareChild(const Process::Start& start) {
  if (start.has_own_group) ::setpgid(0, 0);
  ::signal(SIGPIPE, SIG_DFL);
  sigset_t none;
  ::sigemptyset(&none);
  ::sigprocmask(SIG_SETMASK, &none, nullptr);
  // First out of the way of 0 to 2, then there.
  std::array<int, 3> from = {start.standard_input, start.standard_output, start.standard_error};
  for (int& fd : from) fd = ::fcntl(fd, F_DUPFD_CLOEXEC, 3);
  for (std::size_t i = 0; i < from.size(); ++i) ::dup2(from[i], static_cast<int>(i));
}

// Whether everything was written.
bool WriteAll(int fd, std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t n = ::write(fd, bytes.data(), bytes.size());
    if (n < 0 && errno == EAGAIN) {
      pollfd ready{fd, POLLOUT, 0};
      ::poll(&ready, 1, -1);
      continue;
    }
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return false;
    bytes.remove_prefix(static_cast<std::size_t>(n));
  }
  return true;
}

}  // namespace

Result<Process> Process::Fork(const std::function<int()>& body) {
  const pid_t pid = ::fork();
  if (pid < 0) return FailErrno("cannot start a process");
  if (pid == 0) {
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);  // it does not outlive us
    ::_exit(body());
  }
  UniqueFd pidfd(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0)));
  if (!pidfd.is_open()) {
    const int error = errno;
    ::kill(pid, SIGKILL);
    ::waitpid(pid, nullptr, 0);
    return FailErrno("cannot watch a process", error);
  }
  return Process(std::move(pidfd));
}

Result<Process> Process::Run(const Start& start) {
  std::vector<char*> words;
  words.reserve(start.command.size() + 1);
  for (const std::string& word : start.command) words.push_back(const_cast<char*>(word.c_str()));
  words.push_back(nullptr);
  return Fork([&start, &words] {
    PrepareChild(start);
    ::execvp(words[0], words.data());
    const std::string_view text = "zvsh: cannot run ";
    WriteAll(STDERR_FILENO, std::string(text) + words[0] + "\n");
    return kCannotRun;
  });
}

Process& Process::operator=(Process&& other) noexcept {
  Process ended(std::move(*this));
  pidfd_ = std::move(other.pidfd_);
  return *this;
}

Process::~Process() {
  if (!pidfd_.is_open()) return;
  Kill();
  Wait();
}

void Process::Kill() const {
  if (pidfd_.is_open()) ::syscall(SYS_pidfd_send_signal, pidfd_.get(), SIGKILL, nullptr, 0);
}

int Process::Wait() {
  siginfo_t info{};
  while (::waitid(P_PIDFD, static_cast<id_t>(pidfd_.get()), &info, WEXITED) != 0 &&
         errno == EINTR) {
  }
  pidfd_.Reset();
  return info.si_code == CLD_EXITED ? W_EXITCODE(info.si_status, 0) : info.si_status;
}

Result<Pipe> MakePipe() {
  std::array<int, 2> ends{};
  if (::pipe2(ends.data(), O_CLOEXEC) != 0) return FailErrno("cannot make a pipe");
  Pipe pipe{UniqueFd(ends[0]), UniqueFd(ends[1])};
  ::fcntl(pipe.read_end.get(), F_SETFL, O_NONBLOCK);
  return pipe;
}

bool Relay::Move() {
  constexpr std::size_t kMaxText = std::size_t{1} << 20;
  std::array<char, 64 << 10> buffer;  // NOLINT(cppcoreguidelines-pro-type-member-init)
  while (from_.is_open()) {
    const ssize_t n = ::read(from_.get(), buffer.data(), buffer.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0 && errno == EAGAIN) return true;
    if (n <= 0) {
      from_.Reset();
      return true;
    }
    const std::string_view bytes(buffer.data(), static_cast<std::size_t>(n));
    if (keeps_) text_ += bytes.substr(0, kMaxText - std::min(kMaxText, text_.size()));
    if (copy_.is_open()) WriteAll(copy_.get(), bytes);
    if (to_ >= 0 && !WriteAll(to_, bytes)) return false;
  }
  return true;
}

}  // namespace zerocloud::zvsh
