#include "sandbox/runtime/session.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <climits>
#include <cstring>
#include <utility>

#include "channels/channel_rules.h"
#include "channels/digest.h"
#include "sandbox/policy/layers.h"
#include "sandbox/runtime/address_space.h"
#include "sandbox/runtime/control_group.h"
#include "sandbox/runtime/keeper.h"
#include "sandbox/runtime/mapped.h"
#include "sandbox/runtime/readiness.h"
#include "sandbox/runtime/session_block.h"
#include "sandbox/runtime/snapshot.h"
#include "sandbox/runtime/spawn.h"
#include "sandbox/runtime/zygote.h"

namespace zerocloud::runtime {
namespace {

using std::chrono::steady_clock;

constexpr std::uint32_t kNobody = 65534;

// What every session has, or does not start.
constexpr std::uint32_t kLayersOfSetUp = policy::kUnprivilegedUser | policy::kNoCapabilities |
                                         policy::kNoNewPrivileges | policy::kNotDumpable |
                                         policy::kResourceLimits | policy::kClosedDescriptors |
                                         policy::kDiesWithHost | policy::kRunningFilter;
// What a session with namespaces of its own has in addition to the zygote's.
constexpr std::uint32_t kLayersOfOwnNamespaces =
    policy::kUserNamespace | policy::kPidNamespace | policy::kIpcNamespace | policy::kUtsNamespace |
    policy::kMountNamespace | policy::kCgroupNamespace | policy::kOwnNamespaces;

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
    channel.is_asked = channels[i].is_asked ? 1 : 0;
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
    case Cause::kCpuLimit:
      return "cpu_limit";
    case Cause::kMemoryLimit:
      return "memory_limit";
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
  std::shared_ptr<Zygote> zygote;  // that it was cloned from; null: it was started by itself
  std::shared_ptr<MemoryWatch> memory_watch;
  std::unique_ptr<ControlGroup> control_group;
  std::chrono::microseconds cpu_limit{0};
  std::uint64_t memory_limit = 0;

  // Starts the process, from a zygote if there is one.
  Result<void> StartProcess(const SessionRequest& request, int block_file);
  // Which of the required layers a session cannot have here.
  [[nodiscard]] Result<void> CheckLayers(const SessionRequest& request) const;
  Result<void> WatchMemory();

  // Fills `report` from what the process left and how it ended.
  void Explain(int status, SessionReport& report) const;
  void ExplainOwnEnd(SessionReport& report) const;
  void ExplainSignal(int signal, SessionReport& report) const;
  // After a fork: makes the snapshot. A report of a host error if it cannot be.
  void TakeSnapshot(SessionReport& report);
};

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
    if (channel.is_asked && (can_fork || channel.is_mapped || channel.is_stream ||
                             channel.size == 0 || channel.spec.is_writable())) {
      return Fail(ErrorCode::kInternal, channel.spec.alias +
                                            " is asked for, so it must be an input of known "
                                            "length, not mapped, in a session that cannot fork");
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
    state->specs.reserve(request.channels.size());
    for (const SessionChannel& channel : request.channels) state->specs.push_back(channel.spec);
  }

  state->block_regions = (*block)->regions();
  state->block_channels = (*block)->channels();
  state->region_capacity = (*block)->region_capacity;
  (*block)->cpu_limit_microseconds = static_cast<std::uint64_t>(request.cpu_limit.count());
  state->block = std::move(*block);
  state->cpu_limit = request.cpu_limit;
  state->memory_limit = request.memory_limit;

  if (!request.control_groups.empty()) {
    auto group = ControlGroup::Make(request.control_groups, request.memory_limit);
    if (!group) return Fail(group);
    state->control_group = std::move(*group);
  }
  state->started = steady_clock::now();
  if (const auto started = state->StartProcess(request, block_file.get()); !started) {
    return Fail(started);
  }
  state->deadline = state->started + request.timeout;
  state->timeout = request.timeout;
  state->image = std::move(request.image);
  state->wants_memory_digest = request.wants_memory_digest;
  std::unique_ptr<Session> session(new Session(std::move(state)));
  // From here on, whatever fails, the process is killed and reaped by its session.
  if (const auto& group = session->state_->control_group; group != nullptr) {
    if (const auto added = group->Add(session->state_->pid); !added) return Fail(added);
  }
  if (const auto watched = session->state_->WatchMemory(); !watched) return Fail(watched);
  return session;
}

Result<void> Session::State::CheckLayers(const SessionRequest& request) const {
  std::uint32_t missing = 0;
  const std::uint32_t required =
      request.required_layers & ~(control_group != nullptr ? policy::kControlGroup : 0U);
  if (zygote == nullptr) {
    missing = required & ~kLayersOfSetUp;
  } else {
    missing = required & ~(zygote->layers() | kLayersOfSetUp);
    if (zygote->namespaces() == Namespaces::kOwn) missing &= ~kLayersOfOwnNamespaces;
  }
  if (missing == 0) return {};
  std::string names;
  for (const std::string_view name : LayerNames(missing)) {
    names += (names.empty() ? "" : ", ") + std::string(name);
  }
  return Fail(ErrorCode::kUnavailable, "this host does not give sessions the layers " + names);
}

Result<void> Session::State::StartProcess(const SessionRequest& request, int block_file) {
  if (request.wants_zygote && !request.waits_for_debugger) {
    zygote = request.zygote != nullptr
                 ? request.zygote
                 : Zygote::OfThisProcess(request.wants_own_namespaces ? Namespaces::kOwn
                                                                      : Namespaces::kShared);
  }
  if (const auto enough = CheckLayers(request); !enough) return enough;
  // As session_block.h says.
  std::vector<int> files;
  files.reserve(request.channels.size() + 2);
  for (const SessionChannel& channel : request.channels) files.push_back(channel.file.get());
  if (request.wants_snapshot) files.push_back(snapshot_file.get());
  if (block->run_count > 0) files.push_back(request.snapshot->memory_file());
  if (zygote != nullptr) {
    std::vector<int> descriptors = files;
    descriptors.push_back(request.image->memory_file());
    descriptors.push_back(block_file);
    const Result<pid_t> child = zygote->Start(descriptors, block.get_deleter().size);
    if (child) {
      pid = *child;
      // Our own child, not yet waited for: the number is still its.
      pidfd.Reset(static_cast<int>(syscall(SYS_pidfd_open, pid, 0)));
      if (pidfd.is_open()) return {};
      const int error = errno;
      kill(pid, SIGKILL);
      while (waitpid(pid, nullptr, 0) < 0 && errno == EINTR) {
      }
      return FailErrno("cannot watch a session process", error);
    }
    if (zygote->is_alive()) return Fail(child);
    zygote = nullptr;  // it has died: this session is started by itself, the next by another one
    if (const auto enough = CheckLayers(request); !enough) return enough;
  }
  if (request.wants_own_namespaces) {
    return Fail(ErrorCode::kUnavailable,
                "a session can have namespaces of its own only from a zygote, and this host has "
                "none");
  }
  const Result<int> launcher = LauncherFile();
  if (!launcher) return Fail(launcher);
  std::vector<int> descriptors = {block_file, request.image->memory_file()};
  descriptors.insert(descriptors.end(), files.begin(), files.end());
  const Result<pid_t> child =
      SpawnLauncher(*launcher, std::array<const char*, 1>{kSessionName}, descriptors, pidfd);
  if (!child) return Fail(child);
  pid = *child;
  return {};
}

Result<void> Session::State::WatchMemory() {
  if (memory_limit == 0) return {};
  auto watch = MemoryWatch::Make(pid, pidfd.get(), memory_limit);
  if (!watch) return Fail(watch);
  memory_watch = std::move(*watch);
  Keeper::OfThisProcess().Watch(memory_watch);
  return {};
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
  report.layers = state_->block->layers;
  if (state_->zygote != nullptr) {
    constexpr std::uint64_t kKibi = 1024;
    report.peak_memory = static_cast<std::uint64_t>(usage.ru_maxrss) * kKibi;
  }
  if (state_->control_group != nullptr) {
    report.layers |= policy::kControlGroup;
    const auto peak = state_->control_group->PeakMemory();
    if (peak) report.peak_memory = std::max(report.peak_memory.value_or(0), *peak);
  }
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
  // Whoever used more between two looks of the keeper is found out here.
  const bool was_caught = (memory_watch != nullptr && memory_watch->has_struck()) ||
                          (control_group != nullptr && control_group->WasOutOfMemory());
  if (memory_limit != 0 && (was_caught || report.peak_memory.value_or(0) > memory_limit) &&
      report.cause != Cause::kHostError) {
    report.cause = Cause::kMemoryLimit;
    report.message =
        "the session used more memory than its limit of " + std::to_string(memory_limit) + " bytes";
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
    case EndCause::kCpuLimit:
      report.cause = Cause::kCpuLimit;
      report.message = "the session used more processor time than its limit of " +
                       std::to_string(cpu_limit.count()) + " us";
      return;
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
