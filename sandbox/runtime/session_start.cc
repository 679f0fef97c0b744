#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <climits>
#include <cstring>
#include <utility>

#include "channels/channel_parse.h"
#include "channels/channel_rules.h"
#include "channels/digest.h"
#include "sandbox/policy/layers.h"
#include "sandbox/runtime/address_space.h"
#include "sandbox/runtime/mapped.h"
#include "sandbox/runtime/session_state.h"
#include "sandbox/runtime/spawn.h"

namespace zerocloud::runtime {
namespace {

using std::chrono::steady_clock;

constexpr std::uint32_t kNobody = 65534;
static_assert(kMaxSources == channels::kMaxSources);

// What every session has, or does not start.
constexpr std::uint32_t kLayersOfSetUp = policy::kUnprivilegedUser | policy::kNoCapabilities |
                                         policy::kNoNewPrivileges | policy::kNotDumpable |
                                         policy::kResourceLimits | policy::kClosedDescriptors |
                                         policy::kDiesWithHost | policy::kRunningFilter;
// What a session with namespaces of its own has in addition to the zygote's.
constexpr std::uint32_t kLayersOfOwnNamespaces =
    policy::kUserNamespace | policy::kPidNamespace | policy::kIpcNamespace | policy::kUtsNamespace |
    policy::kMountNamespace | policy::kCgroupNamespace | policy::kOwnNamespaces;

bool MayFork(const SessionRequest& request) {
  return request.snapshot != nullptr || request.wants_snapshot;
}

// Takes from the snapshot what the session has of it, and refuses what cannot be.
Result<void> Complete(SessionRequest& request) {
  if (request.snapshot != nullptr) {
    std::vector<const channels::ChannelSpec*> specs;
    specs.reserve(request.channels.size());
    for (const SessionChannel& channel : request.channels) specs.push_back(&channel.spec);
    if (auto same = request.snapshot->CheckChannels(specs); !same) return same;
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
  for (const SessionChannel& channel : request.channels) {
    if (channel.replicas.size() >= kMaxSources) {
      return Fail(ErrorCode::kInvalid, channel.spec.alias + " has more than 16 sources");
    }
    if (!channel.is_asked) continue;
    if (MayFork(request) || channel.is_mapped || channel.is_stream || channel.size == 0 ||
        channel.spec.is_writable() || !channel.replicas.empty()) {
      return Fail(ErrorCode::kInternal,
                  channel.spec.alias +
                      " is asked for bytes: it must be one input of known length, not mapped, in a "
                      "session that cannot fork");
    }
  }
  if (!MayFork(request)) return {};
  for (const SessionChannel& channel : request.channels) {
    if (!channel.is_mapped) continue;
    return Fail(ErrorCode::kInvalid,
                channel.spec.alias + " cannot be mapped in a session that may fork");
  }
  if (request.wants_readiness) {
    return Fail(ErrorCode::kInvalid, "a session that may fork has no readiness channel");
  }
  return {};
}

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

// Processor time in whole seconds after which the kernel kills the session whatever it did to its
// timer: never sooner than its other limits.
std::uint32_t CpuSeconds(const SessionRequest& request) {
  std::chrono::microseconds limit = request.timeout;
  if (request.cpu_limit.count() > 0) limit = std::min(limit, request.cpu_limit);
  const auto seconds = std::chrono::ceil<std::chrono::seconds>(limit).count();
  return static_cast<std::uint32_t>(std::min<std::int64_t>(seconds + 1, INT_MAX));
}

// What the guest can ever write of its memory, in bytes: jailed code may become data again.
std::uint64_t WritableBytes(const std::vector<Region>& regions) {
  std::uint64_t bytes = 0;
  for (const Region& region : regions) {
    if (IsGuestMade(region)) bytes += region.size;
  }
  return bytes;
}

// No file of the session may become longer.
std::uint64_t FileSizeLimit(const SessionRequest& request, const std::vector<ChannelFacts>& facts) {
  std::uint64_t limit = request.wants_snapshot ? kGuestEnd : 0;
  for (const ChannelFacts& channel : facts) {
    if (channel.state.is_stream || !channels::IsWritable(channel.state)) continue;
    limit = std::max(limit, static_cast<std::uint64_t>(channel.state.max_size));
  }
  return limit;
}

}  // namespace

Result<std::unique_ptr<Session>> Session::Start(SessionRequest request) {
  if (auto done = Complete(request); !done) return Fail(done);
  if (auto done = PrepareMappedChannels(request.channels, request.memory_size); !done) {
    return Fail(done);
  }
  auto state = std::make_unique<State>();
  const auto facts = state->StartChannels(request);
  if (!facts) return Fail(facts);
  auto space = LayOut(ImageRegions(request.image->layout()), request.memory_size, *facts);
  if (!space) return Fail(space);
  if (request.snapshot != nullptr) CutOutJailed(*space, request.snapshot->jailed());
  const auto block_file = state->MakeBlock(request, *space, *facts);
  if (!block_file) return Fail(block_file);
  if (auto done = state->PrepareSnapshot(request); !done) return Fail(done);
  if (!request.control_groups.empty()) {
    auto group = ControlGroup::Make(request.control_groups, request.memory_limit);
    if (!group) return Fail(group);
    state->control_group = std::move(*group);
  }

  state->timeout = request.timeout;
  state->cpu_limit = request.cpu_limit;
  state->memory_limit = request.memory_limit;
  state->wants_memory_digest = request.wants_memory_digest;
  state->image = request.image;
  state->started = steady_clock::now();
  state->started_ticks = __builtin_ia32_rdtsc();
  state->deadline = state->started + request.timeout;
  if (auto done = state->StartProcess(request, block_file->get()); !done) return Fail(done);
  // From here on, whatever fails, the process is killed and reaped by its session.
  std::unique_ptr<Session> session(new Session(std::move(state)));
  if (auto done = session->state_->Supervise(); !done) return Fail(done);
  return session;
}

Result<std::vector<ChannelFacts>> Session::State::StartChannels(SessionRequest& request) {
  std::vector<ChannelFacts> facts;
  facts.reserve(request.channels.size() + 1);
  channels.reserve(request.channels.size());
  for (const SessionChannel& channel : request.channels) {
    ChannelFacts& fact = facts.emplace_back();
    fact.alias = channel.spec.alias;
    fact.state = channels::StartChannel(channel.spec.type, channel.spec.limits,
                                        static_cast<std::int64_t>(channel.size), channel.is_stream);
    if (request.snapshot != nullptr) {
      fact.state = request.snapshot->Continue(facts.size() - 1, fact.state);
    }
    if (channel.is_mapped) {
      fact.map_size = channel.size;
      mapped_bytes += channel.size;
      CountMapping(fact.state);
    }
    channels.push_back({channel.spec.alias, channel.spec.wants_digest, channel.is_mapped,
                        fact.state.limits, fact.state.max_size,
                        1 + static_cast<std::uint32_t>(channel.replicas.size())});
  }
  if (request.wants_readiness) {
    Result<ChannelFacts> last = AddReadiness(request.channels, readiness);
    if (!last) return Fail(last);
    facts.push_back(std::move(*last));
  }
  return facts;
}

Result<UniqueFd> Session::State::MakeBlock(const SessionRequest& request, const AddressSpace& space,
                                           const std::vector<ChannelFacts>& facts) {
  static const std::vector<Region> kNoRuns;
  const std::vector<Region>& runs =
      request.snapshot != nullptr ? request.snapshot->runs() : kNoRuns;
  // Each jail cuts a region into three at most.
  const std::uint64_t capacity = space.regions.size() + std::uint64_t{2} * kMaxJailedRegions;
  const std::uint64_t size = SessionBlock::SizeFor(capacity + runs.size(), facts.size(),
                                                   request.trace_capacity, space.manifest.size());
  UniqueFd file(memfd_create("zvm-session", MFD_CLOEXEC));
  if (!file.is_open() || ftruncate(file.get(), static_cast<off_t>(size)) != 0) {
    return FailErrno("cannot make a session block");
  }
  void* const memory = mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_SHARED, file.get(), 0);
  if (memory == MAP_FAILED) return FailErrno("cannot map a session block");
  block = MappedBlock(new (memory) SessionBlock{}, UnmapBlock{size});
  block->version = kSessionBlockVersion;
  block->region_count = static_cast<std::uint32_t>(space.regions.size());
  block->channel_count = static_cast<std::uint32_t>(facts.size());
  block->trace_capacity = request.trace_capacity;
  block->manifest_size = space.manifest.size();
  block->parent_pid = getpid();
  block->unprivileged_id = kNobody;
  block->entry = request.image->layout().entry;
  block->isa_level = request.image->layout().isa_level;
  block->wants_memory_digest = request.wants_memory_digest ? 1 : 0;
  block->waits_for_debugger = request.waits_for_debugger ? 1 : 0;
  block->cpu_seconds = CpuSeconds(request);
  block->cpu_limit_microseconds = static_cast<std::uint64_t>(request.cpu_limit.count());
  block->data_limit = WritableBytes(space.regions);
  block->file_size_limit = FileSizeLimit(request, facts);
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
  for (std::size_t i = 0; i < facts.size(); ++i) {
    BlockChannel& channel = *new (&block->channels()[i]) BlockChannel{};
    channel.state = facts[i].state;
    channel.wants_digest = request.channels[i].spec.wants_digest ? 1 : 0;
    channel.is_asked = request.channels[i].is_asked ? 1 : 0;
    channels::DigestInit(channel.digest, request.digest_kind);
    channel.first_source = block->source_count;
    channel.source_count = 1 + static_cast<std::uint32_t>(request.channels[i].replicas.size());
    block->source_count += channel.source_count;
  }
  channels::DigestInit(block->memory_digest, request.digest_kind);
  block_regions = block->regions();
  block_channels = block->channels();
  block_trace = block->trace();
  block_stderr_tail = block->stderr_tail();
  trace_capacity = request.trace_capacity;
  region_capacity = block->region_capacity;
  return file;
}

Result<void> Session::State::PrepareSnapshot(const SessionRequest& request) {
  if (!request.wants_snapshot) return {};
  Result<UniqueFd> file = Snapshot::NewFile();
  if (!file) return Fail(file);
  snapshot_file = std::move(*file);
  memory_size = request.memory_size;
  specs.reserve(request.channels.size());
  for (const SessionChannel& channel : request.channels) specs.push_back(channel.spec);
  return {};
}

Result<void> Session::State::CheckLayers(const SessionRequest& request) const {
  std::uint32_t missing = 0;
  const std::uint32_t wanted = request.wants_own_namespaces ? policy::kOwnNamespaces : 0U;
  const std::uint32_t required =
      (request.required_layers | wanted) & ~(control_group != nullptr ? policy::kControlGroup : 0U);
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
  return Fail(ErrorCode::kUnavailable,
              "this session cannot have the layers " + names + " on this host");
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
  files.reserve(block->source_count + 4);
  for (const SessionChannel& channel : request.channels) {
    files.push_back(channel.file.get());
    for (const UniqueFd& replica : channel.replicas) files.push_back(replica.get());
  }
  if (request.wants_snapshot) files.push_back(snapshot_file.get());
  if (block->run_count > 0) files.push_back(request.snapshot->memory_file());
  if (zygote != nullptr) {
    auto is_started = StartFromZygote(request, files, block_file);
    if (is_started || zygote->is_alive()) return is_started;
    zygote = nullptr;  // it has died: this session is started by itself, the next by another one
    if (const auto enough = CheckLayers(request); !enough) return enough;
  }
  return StartAlone(request, files, block_file);
}

Result<void> Session::State::StartFromZygote(const SessionRequest& request, std::vector<int> files,
                                             int block_file) {
  files.push_back(request.image->memory_file());
  files.push_back(block_file);
  Result<Zygote::Started> child = zygote->Start(files, block.get_deleter().size);
  if (!child) return Fail(child);
  pid = child->pid;
  place = std::move(child->place);
  // Our own child, not yet waited for: the number is still its.
  pidfd.Reset(static_cast<int>(syscall(SYS_pidfd_open, pid, 0)));
  if (pidfd.is_open()) return {};
  const int error = errno;
  kill(pid, SIGKILL);
  while (waitpid(pid, nullptr, 0) < 0 && errno == EINTR) {
  }
  return FailErrno("cannot watch a session process", error);
}

Result<void> Session::State::StartAlone(const SessionRequest& request,
                                        const std::vector<int>& files, int block_file) {
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

Result<void> Session::State::Supervise() {
  if (control_group != nullptr) {
    if (const auto added = control_group->Add(pid); !added) return added;
  }
  if (memory_limit == 0) return {};
  auto watch = MemoryWatch::Make(pid, pidfd.get(), memory_limit, mapped_bytes);
  if (!watch) return Fail(watch);
  memory_watch = std::move(*watch);
  Keeper::OfThisProcess().Watch(memory_watch);
  return {};
}

}  // namespace zerocloud::runtime
