#include "sandbox/runtime/session.h"

#include <poll.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <climits>
#include <utility>

#include "sandbox/policy/layers.h"
#include "sandbox/runtime/session_state.h"

namespace zerocloud::runtime {

using std::chrono::steady_clock;

namespace {

// The kernel keeps up to 31 pages for each processor to itself, and small sessions have no more:
// then what they used is known by how often they touched a new page.
std::uint64_t Untold(const rusage& usage) {
  constexpr std::uint64_t kMostPages = 31;
  static const auto kProcessors = static_cast<std::uint64_t>(sysconf(_SC_NPROCESSORS_ONLN));
  return std::min(static_cast<std::uint64_t>(usage.ru_minflt), kMostPages * kProcessors) *
         kPageSize;
}

}  // namespace

std::string_view ToString(Cause cause) {
  switch (cause) {
    case Cause::kExited:
      return "exited";
    case Cause::kFaulted:
      return "faulted";
    case Cause::kTimedOut:
      return "timed_out";
    case Cause::kKilled:
      return "killed";
    case Cause::kChannelIo:
      return "channel_io";
    case Cause::kViolated:
      return "violated";
    case Cause::kHostError:
      return "host_error";
    case Cause::kForked:
      return "forked";
    case Cause::kCpuLimit:
      return "cpu_limit";
    case Cause::kMemoryLimit:
      return "memory_limit";
  }
  return "host_error";
}

std::vector<std::string_view> LayerNames(std::uint32_t layers) {
  std::vector<std::string_view> names;
  for (const policy::Layer layer : policy::kAllLayers) {
    if ((layers & layer) != 0) names.emplace_back(policy::LayerName(layer));
  }
  return names;
}

Session::Session(std::unique_ptr<State> state) : state_(std::move(state)) {}

Session::~Session() {
  if (state_->is_reaped) return;
  Kill(Cause::kKilled);
  siginfo_t info;
  while (waitid(P_PIDFD, static_cast<id_t>(state_->pidfd.get()), &info, WEXITED) != 0 &&
         errno == EINTR) {
  }
}

int Session::pidfd() const { return state_->pidfd.get(); }
pid_t Session::pid() const { return state_->pid; }
steady_clock::time_point Session::deadline() const { return state_->deadline; }

void Session::WaitUntilStopped() {
  siginfo_t info;
  while (waitid(P_PIDFD, static_cast<id_t>(state_->pidfd.get()), &info,
                WSTOPPED | WEXITED | WNOWAIT) != 0 &&
         errno == EINTR) {
  }
}

void Session::Kill(Cause cause) {
  if (state_->is_reaped) return;
  if (!state_->killed_for) state_->killed_for = cause;
  syscall(SYS_pidfd_send_signal, state_->pidfd.get(), SIGKILL, nullptr, 0);
}

SessionReport Session::Wait() {
  pollfd ended{state_->pidfd.get(), POLLIN, 0};
  for (;;) {
    const auto left =
        std::chrono::ceil<std::chrono::milliseconds>(state_->deadline - steady_clock::now());
    const auto bounded = std::min<std::int64_t>(std::max<std::int64_t>(left.count(), 0), INT_MAX);
    const int ready = poll(&ended, 1, static_cast<int>(bounded));
    if (ready > 0) break;
    if (ready == 0 && steady_clock::now() >= state_->deadline) Kill(Cause::kTimedOut);
  }
  return Collect();
}

SessionReport Session::Collect() {
  SessionReport report;
  int status = 0;
  rusage usage{};
  while (wait4(state_->pid, &status, 0, &usage) < 0 && errno == EINTR) {
  }
  state_->is_reaped = true;
  state_->place = {};
  state_->readiness.reset();  // or its copies would keep the other ends of channels waiting
  const auto microseconds = [](const timeval& time) {
    return std::chrono::seconds(time.tv_sec) + std::chrono::microseconds(time.tv_usec);
  };
  report.wall_time =
      std::chrono::duration_cast<std::chrono::microseconds>(steady_clock::now() - state_->started);
  report.system_time = microseconds(usage.ru_stime);
  report.user_time = microseconds(usage.ru_utime);
  report.layers = state_->block->layers;
  if (state_->zygote != nullptr) {
    constexpr std::uint64_t kKibi = 1024;
    const std::uint64_t seen = state_->memory_watch ? state_->memory_watch->most_seen() : 0;
    report.peak_memory = std::max(static_cast<std::uint64_t>(usage.ru_maxrss) * kKibi, seen);
  }
  if (state_->control_group != nullptr) {
    report.layers |= policy::kControlGroup;
    const auto peak = state_->control_group->PeakMemory();
    if (peak) report.peak_memory = std::max(report.peak_memory.value_or(0), *peak);
  }
  state_->Explain(status, report);
  if (report.peak_memory) *report.peak_memory = std::max(*report.peak_memory, Untold(usage));
  if (report.cause == Cause::kForked) state_->TakeSnapshot(report);
  state_->CopyTrace(report);
  report.stderr_tail = state_->StderrTail();
  return report;
}

}  // namespace zerocloud::runtime
