// What a session's process left behind, told as a SessionReport. See session_state.h.
#include <signal.h>
#include <sys/wait.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <utility>

#include "channels/digest.h"
#include "sandbox/policy/layers.h"
#include "sandbox/runtime/session_state.h"
#include "sandbox/runtime/snapshot.h"

namespace zerocloud::runtime {
namespace {

using std::chrono::steady_clock;

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
std::string DigestHex(channels::Digest digest) {
  char hex[channels::kMaxDigestHexSize];
  const std::size_t size = channels::DigestFinalHex(digest, hex);
  return {hex, size};
}

std::string ErrnoText(int err) { return std::strerror(err); }  // NOLINT(concurrency-mt-unsafe)

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
    const std::uint32_t all = (1U << source_counts[i]) - 1;
    usage.source_count = source_counts[i];
    usage.failed_sources = channel.failed_sources & all;
    usage.outvoted_sources = channel.outvoted_sources & all;
    if (wants_digest[i] && is_complete) usage.digest = DigestHex(channel.digest);
    report.channels.push_back(std::move(usage));
  }
  if (wants_memory_digest && report.cause == Cause::kExited) {
    report.memory_digest = DigestHex(block->memory_digest);
  }
}

// The counter runs at a constant rate, which two readings of both clocks tell.
void Session::State::CopyTrace(SessionReport& report) const {
  const std::uint64_t traced = block->trace_count;
  const auto kept = static_cast<std::size_t>(std::min<std::uint64_t>(traced, trace_capacity));
  report.untraced_calls = traced - kept;
  const std::uint64_t ticks = __builtin_ia32_rdtsc() - started_ticks;
  const auto time = std::chrono::duration<double, std::nano>(steady_clock::now() - started).count();
  const double ns_per_tick = ticks > 0 ? time / static_cast<double>(ticks) : 0;
  const auto since_start = [&](std::uint64_t tick) {
    const std::uint64_t passed = std::min(tick > started_ticks ? tick - started_ticks : 0, ticks);
    return std::chrono::nanoseconds(
        static_cast<std::int64_t>(static_cast<double>(passed) * ns_per_tick));
  };
  for (std::size_t i = 0; i < kept; ++i) {
    const TraceCall call = block_trace[i];
    TracedCall& out = report.trace.emplace_back();
    out.number = static_cast<std::uint32_t>(call.number);
    std::copy(std::begin(call.arguments), std::end(call.arguments), out.arguments.begin());
    out.start = since_start(call.start);
    if (call.end == 0) continue;
    out.end = since_start(call.end);
    out.result = call.result;
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
      const std::string name = index < aliases.size() ? aliases[index] : std::string("a channel");
      report.message =
          report.host_errno == EBADMSG
              ? "failed to read " + name + ": no two of its sources agree"
              : "the host could not read or write " + name + ": " + ErrnoText(report.host_errno);
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
