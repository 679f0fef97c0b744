#include "sandbox/runtime/session.h"

#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <climits>
#include <cstring>
#include <filesystem>
#include <utility>

#include "channels/channel_rules.h"
#include "channels/digest.h"
#include "sandbox/runtime/address_space.h"
#include "sandbox/runtime/mapped.h"
#include "sandbox/runtime/readiness.h"
#include "sandbox/runtime/session_block.h"
#include "sandbox/runtime/snapshot.h"

namespace zerocloud::runtime {
namespace {

using std::chrono::steady_clock;

constexpr std::uint32_t kNobody = 65534;

// The child borrows our memory until it has become the launcher, so that starting it costs the same
// however large we are. Under ThreadSanitizer, whose clone() takes every child for a fork, it is
// one.
#if __has_feature(thread_sanitizer)
constexpr int kShareMemory = 0;
#else
constexpr int kShareMemory = CLONE_VM;
#endif

// The launcher lies beside the running program, or in ../bin of it (test programs), or where it was
// installed. Opened once: every session of this process runs the same file.
Result<int> LauncherFile() {
  static const Result<int> file = []() -> Result<int> {
    std::error_code ignored;
    const std::filesystem::path here =
        std::filesystem::read_symlink("/proc/self/exe", ignored).parent_path();
    std::string tried;
    for (const auto& path : {here / "zvm-session", here / "../bin/zvm-session",
                             std::filesystem::path(ZEROCLOUD_LIBEXEC_DIR) / "zvm-session"}) {
      const int fd = open(path.c_str(), O_PATH | O_CLOEXEC);
      if (fd >= 0) return fd;
      tried += (tried.empty() ? "" : ", ") + path.lexically_normal().string();
    }
    return Fail(ErrorCode::kInternal, "the session launcher was not found; tried " + tried);
  }();
  return file;
}

// What the child of clone() needs. It shares the parent's memory and must only make system calls.
struct ChildPlan {
  int launcher;
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
  const char* const arguments[] = {"zvm-session", nullptr};
  const char* const environment[] = {nullptr};
  syscall(SYS_execveat, launcher, "", arguments, environment, AT_EMPTY_PATH);
  return 1;
}

// Starts the launcher. The parent is stopped until the child has become it, so `plan` may live
// here.
Result<pid_t> SpawnLauncher(ChildPlan& plan, UniqueFd& pidfd) {
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

struct Unmap {
  std::size_t size = 0;
  void operator()(SessionBlock* block) const { munmap(block, size); }
};
using MappedBlock = std::unique_ptr<SessionBlock, Unmap>;

Result<MappedBlock> MakeBlock(UniqueFd& file, const AddressSpace& space,
                              const SessionRequest& request,
                              const std::vector<ChannelFacts>& facts) {
  static const std::vector<Region> kNoRuns;
  const std::vector<SessionChannel>& channels = request.channels;
  const std::vector<Region>& runs =
      request.snapshot != nullptr ? request.snapshot->runs() : kNoRuns;
  // Each jail cuts a region into three at most.
  const std::uint64_t capacity = space.regions.size() + std::uint64_t{2} * kMaxJailedRegions;
  const std::uint64_t size =
      SessionBlock::SizeFor(capacity + runs.size(), channels.size(), space.manifest.size());
  file.Reset(memfd_create("zvm-session", MFD_CLOEXEC));
  if (!file.is_open() || ftruncate(file.get(), static_cast<off_t>(size)) != 0) {
    return FailErrno("cannot make a session block");
  }
  void* const memory = mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_SHARED, file.get(), 0);
  if (memory == MAP_FAILED) return FailErrno("cannot map a session block");
  MappedBlock block(new (memory) SessionBlock{}, Unmap{size});
  block->version = kSessionBlockVersion;
  block->region_count = static_cast<std::uint32_t>(space.regions.size());
  block->channel_count = static_cast<std::uint32_t>(channels.size());
  block->manifest_size = space.manifest.size();
  block->parent_pid = getpid();
  block->unprivileged_id = kNobody;
  block->entry = request.image->layout().entry;
  block->isa_level = request.image->layout().isa_level;
  block->wants_memory_digest = request.wants_memory_digest ? 1 : 0;
  block->waits_for_debugger = request.waits_for_debugger ? 1 : 0;
  const auto seconds = std::chrono::ceil<std::chrono::seconds>(request.timeout).count();
  block->cpu_seconds = static_cast<std::uint32_t>(std::min<std::int64_t>(seconds + 1, INT_MAX));
  block->region_capacity = static_cast<std::uint32_t>(capacity);
  block->run_count = static_cast<std::uint32_t>(runs.size());
  block->wants_snapshot = request.wants_snapshot ? 1 : 0;
  if (request.snapshot != nullptr) {
    block->resumes = 1;
    block->registers = request.snapshot->registers();
  }
  std::ranges::copy(runs, block->runs());
  std::memcpy(block->regions(), space.regions.data(), space.regions.size() * sizeof(Region));
  std::memcpy(block->manifest(), space.manifest.data(), space.manifest.size());
  for (std::size_t i = 0; i < channels.size(); ++i) {
    BlockChannel& channel = *new (&block->channels()[i]) BlockChannel{};
    channel.state = facts[i].state;
    channel.wants_digest = channels[i].spec.wants_digest ? 1 : 0;
    channels::Sha1Init(channel.digest);
  }
  channels::Sha1Init(block->memory_digest);
  return block;
}

std::string_view StepName(SetupStep step) {
  switch (step) {
    case SetupStep::kStart:
      return "starting";
    case SetupStep::kParent:
      return "binding to its parent";
    case SetupStep::kBlock:
      return "mapping the session block";
    case SetupStep::kPersonality:
      return "checking the execution domain";
    case SetupStep::kProcessor:
      return "checking the processor (XSAVE is needed)";
    case SetupStep::kIdentity:
      return "dropping privileges";
    case SetupStep::kDescriptors:
      return "closing descriptors";
    case SetupStep::kLimits:
      return "setting resource limits";
    case SetupStep::kReserve:
      return "reserving the low 7 GiB of its address space";
    case SetupStep::kMap:
      return "mapping the guest";
    case SetupStep::kSignals:
      return "catching signals";
    case SetupStep::kSegments:
      return "setting segment bases";
    case SetupStep::kFilter:
      return "installing the system call filter";
  }
  return "starting";
}

// Ends a copy of the launcher's running digest.
std::string DigestHex(channels::Sha1 digest) {
  char hex[channels::kDigestHexSize];
  channels::Sha1FinalHex(digest, hex);
  return {hex, sizeof hex};
}

std::string ErrnoText(int err) { return std::strerror(err); }  // NOLINT(concurrency-mt-unsafe)

// Puts the readiness channel behind the others.
Result<ChannelFacts> AddReadiness(std::vector<SessionChannel>& channels,
                                  std::unique_ptr<Readiness>& readiness) {
  constexpr channels::ChannelLimits kNoLimits = {INT64_MAX, INT64_MAX, INT64_MAX, INT64_MAX};
  std::vector<int> watched;
  watched.reserve(channels.size());
  for (const SessionChannel& channel : channels) {
    const bool can_wait = channel.is_stream && channel.spec.is_readable();
    watched.push_back(can_wait ? channel.file.get() : -1);
  }
  SessionChannel last;
  auto started = Readiness::Start(watched, last.file);
  if (!started) return Fail(started);
  readiness = std::move(*started);
  last.is_stream = true;
  last.spec.limits = kNoLimits;
  channels.push_back(std::move(last));
  ChannelFacts facts;
  facts.state = channels::StartChannel(channels::AccessType::kSequentialBoth, kNoLimits, 0, true);
  facts.is_readiness = true;
  return facts;
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
  }
  return "host_error";
}

struct Session::State {
  std::shared_ptr<const loader::Image> image;
  std::vector<std::string> aliases;
  std::vector<bool> wants_digest;
  bool wants_memory_digest = false;
  std::chrono::milliseconds timeout{0};
  steady_clock::time_point started, deadline;
  MappedBlock block;
  // Where the block's arrays are by the host's own count: the block's counts are in shared memory.
  const Region* block_regions = nullptr;
  const BlockChannel* block_channels = nullptr;
  std::uint32_t region_capacity = 0;
  UniqueFd pidfd;
  pid_t pid = -1;
  bool is_reaped = false;
  std::optional<Cause> killed_for;
  std::unique_ptr<Readiness> readiness;
  // What a snapshot needs, if one is wanted.
  UniqueFd snapshot_file;
  std::uint64_t memory_size = 0;
  std::vector<channels::ChannelSpec> specs;

  // Fills `report` from what the process left and how it ended.
  void Explain(int status, SessionReport& report) const;
  void ExplainOwnEnd(SessionReport& report) const;
  void ExplainSignal(int signal, SessionReport& report) const;
  // After a fork: makes the snapshot. A report of a host error if it cannot be.
  void TakeSnapshot(SessionReport& report);
};

Session::Session(std::unique_ptr<State> state) : state_(std::move(state)) {}

Session::~Session() {
  if (state_->is_reaped) return;
  Kill(Cause::kKilled);
  siginfo_t info;
  while (waitid(P_PIDFD, static_cast<id_t>(state_->pidfd.get()), &info, WEXITED) != 0 &&
         errno == EINTR) {
  }
}

Result<std::unique_ptr<Session>> Session::Start(SessionRequest request) {
  if (request.snapshot != nullptr) {
    std::vector<const channels::ChannelSpec*> specs;
    specs.reserve(request.channels.size());
    for (const SessionChannel& channel : request.channels) specs.push_back(&channel.spec);
    if (auto same = request.snapshot->CheckChannels(specs); !same) return Fail(same);
    request.image = request.snapshot->image();
    request.memory_size = request.snapshot->memory_size();
  }
  if (request.image == nullptr || request.timeout.count() <= 0) {
    return Fail(ErrorCode::kInternal, "a session needs an image and a timeout");
  }
  if (request.image->layout().isa_level > 2 && !__builtin_cpu_supports("x86-64-v3")) {
    return Fail(ErrorCode::kUnavailable,
                "the program needs a processor of level x86-64-v3, and this one is not; build it "
                "without -march=x86-64-v3");
  }
  const Result<int> launcher = LauncherFile();
  if (!launcher) return Fail(launcher);

  if (auto mapped = PrepareMappedChannels(request.channels, request.memory_size); !mapped) {
    return Fail(mapped);
  }
  const bool can_fork = request.snapshot != nullptr || request.wants_snapshot;
  auto state = std::make_unique<State>();
  std::vector<ChannelFacts> facts;
  for (const SessionChannel& channel : request.channels) {
    facts.push_back(
        {channel.spec.alias,
         channels::StartChannel(channel.spec.type, channel.spec.limits,
                                static_cast<std::int64_t>(channel.size), channel.is_stream)});
    if (request.snapshot != nullptr) {
      facts.back().state = request.snapshot->Continue(facts.size() - 1, facts.back().state);
    }
    if (channel.is_mapped && can_fork) {
      return Fail(ErrorCode::kInvalid,
                  channel.spec.alias + " cannot be mapped in a session that may fork");
    }
    if (channel.is_mapped) {
      facts.back().map_size = channel.size;
      CountMapping(facts.back().state);
    }
    state->aliases.push_back(channel.spec.alias);
    state->wants_digest.push_back(channel.spec.wants_digest);
  }
  if (request.wants_readiness) {
    if (can_fork) {
      return Fail(ErrorCode::kInvalid, "a session that may fork has no readiness channel");
    }
    Result<ChannelFacts> last = AddReadiness(request.channels, state->readiness);
    if (!last) return Fail(last);
    facts.push_back(std::move(*last));
  }
  Result<AddressSpace> space =
      LayOut(ImageRegions(request.image->layout()), request.memory_size, facts);
  if (!space) return Fail(space);
  if (request.snapshot != nullptr) CutOutJailed(*space, request.snapshot->jailed());

  UniqueFd block_file;
  Result<MappedBlock> block = MakeBlock(block_file, *space, request, facts);
  if (!block) return Fail(block);
  if (request.wants_snapshot) {
    Result<UniqueFd> file = Snapshot::NewFile();
    if (!file) return Fail(file);
    state->snapshot_file = std::move(*file);
    state->memory_size = request.memory_size;
    for (const SessionChannel& channel : request.channels) state->specs.push_back(channel.spec);
  }

  state->block_regions = (*block)->regions();
  state->block_channels = (*block)->channels();
  state->region_capacity = (*block)->region_capacity;
  const bool has_runs = (*block)->run_count > 0;
  state->block = std::move(*block);

  ChildPlan plan{*launcher, {block_file.get(), request.image->memory_file()}, {}};
  for (const SessionChannel& channel : request.channels) plan.sources.push_back(channel.file.get());
  if (request.wants_snapshot) plan.sources.push_back(state->snapshot_file.get());
  if (has_runs) plan.sources.push_back(request.snapshot->memory_file());
  plan.FindWaiting();
  state->started = steady_clock::now();
  const Result<pid_t> pid = SpawnLauncher(plan, state->pidfd);
  if (!pid) return Fail(pid);
  state->pid = *pid;
  state->deadline = state->started + request.timeout;
  state->timeout = request.timeout;
  state->image = std::move(request.image);
  state->wants_memory_digest = request.wants_memory_digest;
  return std::unique_ptr<Session>(new Session(std::move(state)));
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
  const auto microseconds = [](const timeval& time) {
    return std::chrono::seconds(time.tv_sec) + std::chrono::microseconds(time.tv_usec);
  };
  report.wall_time =
      std::chrono::duration_cast<std::chrono::microseconds>(steady_clock::now() - state_->started);
  report.system_time = microseconds(usage.ru_stime);
  report.user_time = microseconds(usage.ru_utime);
  state_->Explain(status, report);
  if (report.cause == Cause::kForked) state_->TakeSnapshot(report);
  return report;
}

void Session::State::Explain(int status, SessionReport& report) const {
  if (WIFSIGNALED(status)) {
    ExplainSignal(WTERMSIG(status), report);
  } else if (block->phase != Phase::kEnded) {
    report.cause = Cause::kHostError;
    report.message =
        "the session could not be set up: " + std::string(StepName(block->setup_step)) + ": " +
        ErrnoText(block->setup_errno);
  } else {
    ExplainOwnEnd(report);
  }

  const bool is_complete = report.cause == Cause::kExited || report.cause == Cause::kFaulted ||
                           report.cause == Cause::kChannelIo || report.cause == Cause::kForked;
  for (std::size_t i = 0; i < aliases.size(); ++i) {
    // A copy: the block is shared memory, and what stands in it is only as good as the guest's
    // walls.
    const BlockChannel channel = block_channels[i];
    const auto count = [](std::int64_t value) { return static_cast<std::uint64_t>(value); };
    ChannelUsage usage;
    usage.alias = aliases[i];
    usage.gets = count(channel.state.gets);
    usage.get_bytes = count(channel.state.get_bytes);
    usage.puts = count(channel.state.puts);
    usage.put_bytes = count(channel.state.put_bytes);
    usage.size = count(channel.state.size);
    usage.hit_get_limit = channel.state.hit_get_limit;
    usage.hit_put_limit = channel.state.hit_put_limit;
    if (wants_digest[i] && is_complete) usage.digest = DigestHex(channel.digest);
    report.channels.push_back(std::move(usage));
  }
  if (wants_memory_digest && report.cause == Cause::kExited) {
    report.memory_digest = DigestHex(block->memory_digest);
  }
}

void Session::State::ExplainOwnEnd(SessionReport& report) const {
  switch (block->end_cause) {
    case EndCause::kExited:
      report.cause = Cause::kExited;
      report.exit_code = block->exit_code;
      return;
    case EndCause::kFaulted:
      report.cause = Cause::kFaulted;
      report.signal = block->signal;
      report.guest_pc = block->pc;
      report.fault_address = block->fault_address;
      report.symbol = image->Symbolize(block->pc);
      return;
    case EndCause::kForked:
      report.cause = Cause::kForked;
      return;
    case EndCause::kSnapshotIo:
      report.cause = Cause::kHostError;
      report.host_errno = block->host_errno;
      report.message = "the host could not write the snapshot: " + ErrnoText(report.host_errno);
      return;
    case EndCause::kChannelIo: {
      report.cause = Cause::kChannelIo;
      report.channel = block->channel;
      report.host_errno = block->host_errno;
      const auto index = static_cast<std::size_t>(report.channel);
      report.message = "the host could not read or write " +
                       (index < aliases.size() ? aliases[index] : std::string("a channel")) + ": " +
                       ErrnoText(report.host_errno);
      return;
    }
    default:
      report.cause = Cause::kHostError;
      report.signal = block->signal;
      report.message =
          "trusted code of the session failed (signal " + std::to_string(block->signal) + ")";
  }
}

void Session::State::TakeSnapshot(SessionReport& report) {
  ForkedState forked;
  if (!snapshot_file.is_open()) {
    report.cause = Cause::kHostError;
    report.message = "the session forked where it could not";
    return;
  }
  // Whatever the numbers are, nothing outside the block's own arrays is read.
  forked.registers = block->registers;
  const std::uint32_t region_count = std::min(block->region_count, region_capacity);
  for (std::uint32_t i = 0; i < region_count; ++i) {
    const Region region = block_regions[i];
    if (region.source == RegionSource::kJailed) forked.jailed.push_back(region);
  }
  for (std::size_t i = 0; i < specs.size(); ++i) {
    const channels::ChannelState& channel = block_channels[i].state;
    unsigned char is_at_end = 0;  // as a byte: anything may stand there
    std::memcpy(&is_at_end, &channel.is_at_end, 1);
    forked.positions.push_back({channel.get_position, channel.put_position, is_at_end != 0});
  }
  auto snapshot = Snapshot::Make(image, memory_size, std::move(specs), std::move(forked),
                                 std::move(snapshot_file));
  if (!snapshot) {
    report.cause = Cause::kHostError;
    report.message = snapshot.error().message;
    return;
  }
  report.snapshot = std::move(*snapshot);
}

void Session::State::ExplainSignal(int signal, SessionReport& report) const {
  report.signal = signal;
  if (signal == SIGSYS) {
    report.cause = Cause::kViolated;
    report.message = "the session made a system call that no session makes, and was killed";
  } else if ((signal == SIGKILL && killed_for == Cause::kTimedOut) || signal == SIGXCPU) {
    report.cause = Cause::kTimedOut;
    report.message =
        "the session ran longer than its limit of " + std::to_string(timeout.count()) + " ms";
  } else if (signal == SIGKILL && killed_for) {
    report.cause = Cause::kKilled;
    report.message = "the host ended the session";
  } else if (signal == SIGKILL) {
    report.cause = Cause::kKilled;
    report.message = "the session was killed from outside (out of memory, or an operator)";
  } else {
    report.cause = Cause::kFaulted;
    report.message = "the session died by signal " + std::to_string(signal);
  }
}

}  // namespace zerocloud::runtime
