#include "sandbox/runtime/daemon.h"

#include <dirent.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <string_view>
#include <system_error>
#include <thread>
#include <utility>
#include <vector>

#include "sandbox/runtime/daemon_protocol.h"

namespace zerocloud::runtime {
namespace {

using channels::HostStatus;

Result<sockaddr_un> SocketAddress(const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.size() >= sizeof address.sun_path) {
    return Fail(ErrorCode::kInvalid, "the path of the socket is too long: " + path);
  }
  std::memcpy(address.sun_path, path.c_str(), path.size() + 1);
  return address;
}

const sockaddr* Plain(const sockaddr_un& address) {
  return reinterpret_cast<const sockaddr*>(&address);
}

// The parent of a DaemonRun: nothing is left for it but to end like its child.
[[noreturn]] void WaitForChild(int from_child, pid_t child) {
  int exit_code = static_cast<int>(HostStatus::kIo);
  ssize_t count = 0;
  while ((count = ::read(from_child, &exit_code, sizeof exit_code)) < 0 && errno == EINTR) {
  }
  // Without a word it has died: of a signal, or because it could not speak.
  if (count != sizeof exit_code) ::waitpid(child, nullptr, 0);
  ::_exit(exit_code);
}

bool IsWelcome(int client) {
  ucred peer{};
  socklen_t size = sizeof peer;
  return ::getsockopt(client, SOL_SOCKET, SO_PEERCRED, &peer, &size) == 0 &&
         (peer.uid == ::geteuid() || peer.uid == 0);
}

void SetPatience(int client) {
  const timeval patience = {kDaemonPatienceSeconds, 0};
  ::setsockopt(client, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
  ::setsockopt(client, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
}

void SendAll(int client, std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t sent = ::send(client, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (sent < 0 && errno == EINTR) continue;
    if (sent <= 0) return;  // the client has gone
    bytes.remove_prefix(static_cast<std::size_t>(sent));
  }
}

Result<std::string> ReceiveManifest(int client) {
  RequestReader reader;
  std::array<char, 4096> buffer{};
  while (!reader.is_complete()) {
    const ssize_t count = ::recv(client, buffer.data(), buffer.size(), 0);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return FailErrno("the manifest did not arrive");
    if (count == 0) return Fail(ErrorCode::kInvalid, "the request ended before its manifest did");
    auto taken = reader.Take({buffer.data(), static_cast<std::size_t>(count)});
    if (!taken) return Fail(taken);
  }
  return reader.manifest();
}

void Answer(int client, const std::shared_ptr<const Snapshot>& snapshot, const RunOptions& options,
            const ReportRenderer& render) {
  SetPatience(client);
  const auto manifest = ReceiveManifest(client);
  RunReport report;
  if (manifest) {
    report = ContinueManifest(*manifest, snapshot, options);
  } else {
    report.status = HostStatus::kManifest;
    report.cause = kCauseManifestUnreadable;
    report.state = "daemon: " + manifest.error().message;
  }
  SendAll(client, Frame(render(report)));
}

// What was inherited and is not ours, which is all close-on-exec, may keep others waiting for an
// end of file.
void CloseInherited() {
  DIR* const directory = ::opendir("/proc/self/fd");
  if (directory == nullptr) return;
  std::vector<int> foreign;
  // NOLINTNEXTLINE(concurrency-mt-unsafe): one thread, and its own directory stream
  while (const dirent* const entry = ::readdir(directory)) {
    const std::string_view name = entry->d_name;
    int fd = -1;
    const auto parsed = std::from_chars(name.data(), name.data() + name.size(), fd);
    if (parsed.ec != std::errc() || fd <= STDERR_FILENO) continue;
    if ((::fcntl(fd, F_GETFD) & FD_CLOEXEC) == 0) foreign.push_back(fd);
  }
  ::closedir(directory);
  for (const int fd : foreign) ::close(fd);
}

}  // namespace

Result<void> DaemonRun::Begin(std::string socket_path) {
  std::array<int, 2> ends{};
  if (::pipe2(ends.data(), O_CLOEXEC) != 0) return FailErrno("cannot make a pipe");
  const UniqueFd from_child(ends[0]);
  UniqueFd to_parent(ends[1]);
  const pid_t parent = ::getpid();
  const pid_t child = ::fork();
  if (child < 0) return FailErrno("cannot start a process for a daemon");
  if (child > 0) {
    to_parent.Reset();
    WaitForChild(from_child.get(), child);
  }
  // Until there is a daemon, whoever ends the program ends the session.
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (::getppid() != parent) ::_exit(static_cast<int>(HostStatus::kInterrupted));
  socket_path_ = std::move(socket_path);
  parent_ = std::move(to_parent);
  return {};
}

void DaemonRun::Listen(RunReport& report) {
  if (!report.session || report.session->snapshot == nullptr) return;
  if (const auto bound = Bind(); !bound) {
    report.status = HostStatus::kIo;
    report.state = "daemon: " + bound.error().message;
    return;
  }
  snapshot_ = report.session->snapshot;
  report.is_daemon = true;
}

Result<void> DaemonRun::Bind() {
  const auto address = SocketAddress(socket_path_);
  if (!address) return Fail(address);
  struct stat status{};
  if (::lstat(socket_path_.c_str(), &status) == 0) {
    if (!S_ISSOCK(status.st_mode)) {
      return Fail(ErrorCode::kConflict, socket_path_ + " exists and is no socket");
    }
    const UniqueFd probe(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    if (::connect(probe.get(), Plain(*address), sizeof *address) == 0) {
      return Fail(ErrorCode::kConflict, "a daemon listens on " + socket_path_ + " already");
    }
    if (errno != ECONNREFUSED) return FailErrno("cannot use " + socket_path_);
    ::unlink(socket_path_.c_str());  // of a daemon that was killed
  }
  constexpr int kBacklog = 128;
  socket_.Reset(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!socket_.is_open()) return FailErrno("cannot make a socket");
  constexpr mode_t kOnlyOwner = 0177;
  const mode_t mask = ::umask(kOnlyOwner);
  const bool is_bound = ::bind(socket_.get(), Plain(*address), sizeof *address) == 0;
  const int error = errno;
  ::umask(mask);
  if (!is_bound) return FailErrno("cannot bind " + socket_path_, error);
  if (::lstat(socket_path_.c_str(), &status) != 0 || ::listen(socket_.get(), kBacklog) != 0) {
    return FailErrno("cannot listen on " + socket_path_);
  }
  inode_ = status.st_ino;
  device_ = status.st_dev;
  return {};
}

bool DaemonRun::IsOurs() const {
  struct stat status{};
  return ::lstat(socket_path_.c_str(), &status) == 0 && status.st_ino == inode_ &&
         status.st_dev == device_;
}

void DaemonRun::LeaveTerminal() {
  ::prctl(PR_SET_PDEATHSIG, 0);
  ::setsid();
  const std::string name = "zvm." + socket_path_.substr(socket_path_.rfind('/') + 1);
  ::prctl(PR_SET_NAME, name.c_str());
  const UniqueFd nothing(::open("/dev/null", O_RDWR | O_CLOEXEC));
  for (const int fd : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}) ::dup2(nothing.get(), fd);
  CloseInherited();
}

int DaemonRun::Finish(int exit_code, const RunOptions& options, const ReportRenderer& render) {
  if (!parent_.is_open()) return exit_code;
  sigset_t ending;
  sigemptyset(&ending);
  sigaddset(&ending, SIGTERM);
  if (snapshot_ != nullptr) {
    // Before anybody can know the daemon's process: from now on SIGTERM is in good order.
    pthread_sigmask(SIG_BLOCK, &ending, nullptr);
    LeaveTerminal();
    if (::chdir("/") != 0) return static_cast<int>(HostStatus::kIo);
  }
  const ssize_t told = ::write(parent_.get(), &exit_code, sizeof exit_code);
  parent_.Reset();
  if (snapshot_ == nullptr || told != sizeof exit_code) return exit_code;
  const int result = Serve(options, render);
  if (IsOurs()) ::unlink(socket_path_.c_str());
  // Not through destructors: threads with sessions are still there. These die with the process.
  ::_exit(result);
}

int DaemonRun::Serve(const RunOptions& options, const ReportRenderer& render) {
  sigset_t ending;
  sigemptyset(&ending);
  sigaddset(&ending, SIGTERM);
  const UniqueFd terminated(::signalfd(-1, &ending, SFD_CLOEXEC));
  // Counts the sessions that can still be started; readable while there are any.
  const UniqueFd free_places(
      ::eventfd(kMaxDaemonSessions, EFD_CLOEXEC | EFD_SEMAPHORE | EFD_NONBLOCK));
  if (!terminated.is_open() || !free_places.is_open()) return static_cast<int>(HostStatus::kIo);
  const auto give_back = [places = free_places.get()] { ::eventfd_write(places, 1); };

  for (;;) {
    std::array<pollfd, 2> waiting = {
        {{terminated.get(), POLLIN, 0}, {free_places.get(), POLLIN, 0}}};
    eventfd_t place = 0;
    if (::poll(waiting.data(), waiting.size(), -1) < 0 && errno != EINTR) break;
    if ((waiting[0].revents & POLLIN) != 0) return 0;
    if (::eventfd_read(free_places.get(), &place) != 0) continue;

    waiting[1] = {socket_.get(), POLLIN, 0};
    if (::poll(waiting.data(), waiting.size(), -1) < 0 && errno != EINTR) break;
    if ((waiting[0].revents & POLLIN) != 0) return 0;
    UniqueFd client(::accept4(socket_.get(), nullptr, nullptr, SOCK_CLOEXEC));
    if (!client.is_open() || !IsWelcome(client.get())) {
      give_back();
      continue;
    }
    try {
      std::thread([client = std::move(client), snapshot = snapshot_, &options, &render,
                   give_back]() mutable {
        Answer(client.get(), snapshot, options, render);
        client.Reset();
        give_back();
      }).detach();
    } catch (const std::system_error&) {  // no thread: the client sees its connection closed
      give_back();
    }
  }
  return static_cast<int>(HostStatus::kIo);
}

}  // namespace zerocloud::runtime
