#include <signal.h>
#include <sys/wait.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <string>
#include <string_view>
#include <utility>

#include "channels/digest.h"
#include "sandbox/runtime/session_state.h"

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

std::string CpuLimitMessage(std::chrono::microseconds limit) {
  return "the session used more processor time than its limit of " + std::to_string(limit.count()) +
         " us";
}

}  // namespace

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
  ExplainLimits(report);
  const bool is_complete = report.cause == Cause::kExited || report.cause == Cause::kFaulted ||
                           report.cause == Cause::kChannelIo || report.cause == Cause::kForked;
  report.channels = Usage(is_complete);
  if (wants_memory_digest && report.cause == Cause::kExited) {
    report.memory_digest = DigestHex(block->memory_digest);
  }
}

void Session::State::ExplainLimits(SessionReport& report) const {
  if (report.cause == Cause::kHostError) return;
  // Whoever got rid of the timer was killed by RLIMIT_CPU.
  const bool was_killed = report.cause == Cause::kKilled && !killed_for;
  if (cpu_limit.count() > 0 && was_killed && report.user_time + report.system_time > cpu_limit) {
    report.cause = Cause::kCpuLimit;
    report.message = CpuLimitMessage(cpu_limit);
  }
  // Whoever used more memory between two looks of the keeper is found out here.
  const bool was_caught = (memory_watch != nullptr && memory_watch->has_struck()) ||
                          (control_group != nullptr && control_group->WasOutOfMemory());
  const std::uint64_t peak = report.peak_memory.value_or(0);
  const bool was_over = peak > memory_limit && peak - memory_limit > mapped_bytes;
  if (memory_limit != 0 && (was_caught || was_over)) {
    report.cause = Cause::kMemoryLimit;
    report.message =
        "the session used more memory than its limit of " + std::to_string(memory_limit) + " bytes";
  }
}

std::vector<ChannelUsage> Session::State::Usage(bool is_complete) const {
  std::vector<ChannelUsage> usages;
  usages.reserve(channels.size());
  const auto count = [](std::int64_t value, std::int64_t most) {
    return static_cast<std::uint64_t>(std::clamp<std::int64_t>(value, 0, most));
  };
  for (std::size_t i = 0; i < channels.size(); ++i) {
    const Channel& channel = channels[i];
    // A copy: the block is shared memory, and what stands in it is only as good as the guest's
    // walls. Truth values are bytes: anything may stand there.
    const BlockChannel counted = block_channels[i];
    const auto is_true = [](const bool& value) {
      unsigned char byte = 0;
      std::memcpy(&byte, &value, 1);
      return byte != 0;
    };
    ChannelUsage& usage = usages.emplace_back();
    usage.alias = channel.alias;
    usage.gets = count(counted.state.gets, channel.limits.gets);
    usage.get_bytes = count(counted.state.get_bytes, channel.limits.get_size);
    usage.puts = count(counted.state.puts, channel.limits.puts);
    usage.put_bytes = count(counted.state.put_bytes, channel.limits.put_size);
    usage.size = count(counted.state.size, channel.max_size);
    usage.hit_get_limit = is_true(counted.state.hit_get_limit);
    usage.hit_put_limit = is_true(counted.state.hit_put_limit);
    const std::uint32_t all = (1U << channel.source_count) - 1;
    usage.source_count = channel.source_count;
    usage.failed_sources = counted.failed_sources & all;
    usage.outvoted_sources = counted.outvoted_sources & all;
    if (channel.wants_digest && is_complete) usage.digest = DigestHex(counted.digest);
  }
  return usages;
}

std::string Session::State::StderrTail() const {
  constexpr std::uint64_t kSize = kStderrTailSize;
  const std::uint64_t written = block->stderr_bytes;  // any number: only its rest counts
  std::string tail;
  for (std::uint64_t i = written - std::min(written, kSize); i != written; ++i) {
    tail += static_cast<char>(block_stderr_tail[i % kSize]);
  }
  return tail;
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
      report.host_errno = block->host_errno;
      const auto index = static_cast<std::uint32_t>(block->channel);
      const bool is_known = index < channels.size();
      report.channel = is_known ? static_cast<int>(index) : -1;
      const std::string alias = is_known ? channels[index].alias : "a channel";
      report.message =
          is_known && channels[index].is_mapped && report.host_errno == ESTALE
              ? "the file of " + alias + " became shorter while it was mapped"
          : report.host_errno == EBADMSG
              ? "failed to read " + alias + ": no two of its sources agree"
              : "the host could not read or write " + alias + ": " + ErrnoText(report.host_errno);
      return;
    }
    case EndCause::kCpuLimit:
      report.cause = Cause::kCpuLimit;
      report.message = CpuLimitMessage(cpu_limit);
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
  } else if (signal == SIGXFSZ) {
    report.cause = Cause::kViolated;
    report.message = "the session made a file longer than its channels may, and was killed";
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
