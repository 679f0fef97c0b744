#include "sandbox/runtime/spawn.h"

#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstddef>
#include <filesystem>
#include <string>
#include <vector>

namespace zerocloud::runtime {
namespace {

// The child borrows our memory until it has become the launcher, so that starting it costs the same
// however large we are. Under ThreadSanitizer, whose clone() takes every child for a fork, it is
// one.
#if __has_feature(thread_sanitizer)
constexpr int kShareMemory = 0;
#else
constexpr int kShareMemory = CLONE_VM;
#endif

// What the child of clone() needs. It shares the parent's memory and must only make system calls.
struct ChildPlan {
  int launcher;
  std::vector<const char*> arguments;  // and a null
  std::vector<int> sources;  // descriptor i of the session is a copy of sources[i]; all different
  // The inverse where it matters: which i still waits for the file that is descriptor d now, for
  // each d below sources.size(); -1 for none.
  std::vector<int> waiting = {};

  void FindWaiting() {
    waiting.assign(sources.size(), -1);
    for (std::size_t i = 0; i < sources.size(); ++i) {
      const auto source = static_cast<std::size_t>(sources[i]);
      if (source < waiting.size()) waiting[source] = static_cast<int>(i);
    }
  }
};

// Moves the descriptors to their places and becomes the launcher. Runs in the parent's memory while
// the parent is stopped, so it touches nothing but `plan` and makes raw calls only.
__attribute__((no_sanitize("address", "thread", "undefined"))) int RunChild(void* argument) {
  auto& plan = *static_cast<ChildPlan*>(argument);
  const int count = static_cast<int>(plan.sources.size());
  int* const sources = plan.sources.data();
  int* const waiting = plan.waiting.data();
  int launcher = plan.launcher;
  if (launcher < count) {
    launcher = static_cast<int>(syscall(SYS_fcntl, launcher, F_DUPFD_CLOEXEC, count));
    if (launcher < 0) return 1;
  }
  // One after the other, moving only what stands in the way: a session may have half as many
  // channels as there can be descriptors, or nearly all.
  for (int i = 0; i < count; ++i) {
    if (sources[i] == i) {
      if (syscall(SYS_fcntl, i, F_SETFD, 0) < 0) return 1;
      continue;
    }
    const int displaced = waiting[i];
    if (displaced > i) {
      const int moved = static_cast<int>(syscall(SYS_fcntl, i, F_DUPFD_CLOEXEC, 0));
      if (moved < 0) return 1;
      sources[displaced] = moved;
      if (moved < count) waiting[moved] = displaced;
    }
    if (syscall(SYS_dup3, sources[i], i, 0) < 0) return 1;
    if (sources[i] < count) waiting[sources[i]] = -1;
    syscall(SYS_close, sources[i]);
  }
  const char* const environment[] = {nullptr};
  syscall(SYS_execveat, launcher, "", plan.arguments.data(), environment, AT_EMPTY_PATH);
  return 1;
}

}  // namespace

Result<int> LauncherFile() {
  static const Result<int> file = []() -> Result<int> {
    std::error_code ignored;
    const std::filesystem::path here =
        std::filesystem::read_symlink("/proc/self/exe", ignored).parent_path();
    std::string tried;
    for (const auto& path : {here / "zvm-session", here / "../bin/zvm-session",
                             here / "../libexec/zerocloud/zvm-session",
                             std::filesystem::path(ZEROCLOUD_LIBEXEC_DIR) / "zvm-session"}) {
      const int fd = open(path.c_str(), O_PATH | O_CLOEXEC);
      if (fd >= 0) return fd;
      tried += (tried.empty() ? "" : ", ") + path.lexically_normal().string();
    }
    return Fail(ErrorCode::kInternal, "the session launcher was not found; tried " + tried);
  }();
  return file;
}

Result<pid_t> SpawnLauncher(int launcher, std::span<const char* const> arguments,
                            std::span<const int> descriptors, UniqueFd& pidfd) {
  ChildPlan plan{
      launcher, {arguments.begin(), arguments.end()}, {descriptors.begin(), descriptors.end()}};
  plan.arguments.push_back(nullptr);
  plan.FindWaiting();
  constexpr std::size_t kChildStack = 16 << 10;
  alignas(16) char stack[kChildStack];
  int raw_pidfd = -1;
  // Otherwise a handler of ours could run in the child, in our memory.
  sigset_t all, before;
  sigfillset(&all);
  pthread_sigmask(SIG_BLOCK, &all, &before);
  const int pid = clone(&RunChild, stack + kChildStack,
                        kShareMemory | CLONE_VFORK | CLONE_PIDFD | SIGCHLD, &plan, &raw_pidfd);
  const int error = errno;
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
  if (pid < 0) return FailErrno("cannot start a session process", error);
  pidfd.Reset(raw_pidfd);
  return pid;
}

}  // namespace zerocloud::runtime
