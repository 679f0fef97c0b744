#include "middleware/node/explain.h"

#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <csignal>

namespace zerocloud::node {
namespace {

std::string_view SignalName(int number) {
  switch (number) {
    case SIGSEGV:
      return " (SIGSEGV)";
    case SIGILL:
      return " (SIGILL)";
    case SIGFPE:
      return " (SIGFPE)";
    case SIGBUS:
      return " (SIGBUS)";
    case SIGTRAP:
      return " (SIGTRAP)";
    case SIGSYS:
      return " (SIGSYS)";
    case SIGKILL:
      return " (SIGKILL)";
    default:
      return "";
  }
}

bool UsedAllCalls(const ChannelBound& bound, const runtime::ChannelUsage& usage) {
  return usage.puts >= static_cast<std::uint64_t>(bound.limits.puts);
}

// Of the limit on writing that was hit.
std::string_view NameOf(const ChannelBound& bound, const runtime::ChannelUsage& usage) {
  return UsedAllCalls(bound, usage) ? "channel_calls" : bound.name;
}

std::string Bounds(const runtime::SessionReport& report, std::span<const ChannelBound> bounds) {
  std::string text;
  for (const runtime::ChannelUsage& usage : report.channels) {
    if (usage.hit_put_limit) {
      const auto bound = std::ranges::find(bounds, usage.alias, &ChannelBound::alias);
      if (bound == bounds.end()) continue;
      const bool is_calls = UsedAllCalls(*bound, usage);
      text += fmt::format("; it used up what it may write to {}: {} is {}", usage.alias,
                          NameOf(*bound, usage),
                          is_calls ? bound->limits.puts : bound->limits.put_size);
    }
    if (usage.hit_get_limit) {
      text += fmt::format("; it used up what it may read from {}: {} bytes in {} calls",
                          usage.alias, usage.get_bytes, usage.gets);
    }
  }
  return text;
}

ErrorCode CodeOf(const runtime::SessionReport& report, bool has_hit_limit) {
  switch (report.cause) {
    case runtime::Cause::kExited:
      return has_hit_limit ? ErrorCode::kLimitExceeded : ErrorCode::kGuestFault;
    case runtime::Cause::kFaulted:
    case runtime::Cause::kViolated:
      return ErrorCode::kGuestFault;
    case runtime::Cause::kTimedOut:
      return ErrorCode::kTimeout;
    case runtime::Cause::kKilled:
      return ErrorCode::kUnavailable;
    case runtime::Cause::kChannelIo: {
      const bool is_full = report.host_errno == ENOSPC || report.host_errno == EDQUOT;
      return is_full ? ErrorCode::kUnavailable : ErrorCode::kInternal;
    }
    case runtime::Cause::kCpuLimit:
    case runtime::Cause::kMemoryLimit:
      return ErrorCode::kLimitExceeded;
    case runtime::Cause::kHostError:
    case runtime::Cause::kForked:  // never asked for here
      return ErrorCode::kInternal;
  }
  return ErrorCode::kInternal;
}

}  // namespace

std::string_view ToString(SessionEnd end) {
  switch (end) {
    case SessionEnd::kNotStarted:
      return "not_started";
    case SessionEnd::kSucceeded:
      return "succeeded";
    case SessionEnd::kFailed:
      return "failed";
    case SessionEnd::kStopped:
      return "stopped";
  }
  return "";
}

std::string DescribeEnd(const runtime::SessionReport& report, std::chrono::milliseconds timeout) {
  switch (report.cause) {
    case runtime::Cause::kExited:
      if (report.exit_code == 0) return "ok";
      return fmt::format("exit code {}", report.exit_code);
    case runtime::Cause::kFaulted: {
      std::string text = fmt::format("signal {}{} at 0x{:x}", report.signal,
                                     SignalName(report.signal), report.guest_pc);
      if (!report.symbol.empty()) text += fmt::format(" ({})", report.symbol);
      if (report.signal == SIGSEGV || report.signal == SIGBUS) {
        text += fmt::format(", touching 0x{:x}", report.fault_address);
      }
      return text;
    }
    case runtime::Cause::kTimedOut:
      return fmt::format("ran longer than its timeout of {} ms", timeout.count());
    case runtime::Cause::kKilled:
    case runtime::Cause::kChannelIo:
    case runtime::Cause::kViolated:
    case runtime::Cause::kHostError:
    case runtime::Cause::kForked:
      return report.message.empty() ? std::string(runtime::ToString(report.cause)) : report.message;
    case runtime::Cause::kCpuLimit:
    case runtime::Cause::kMemoryLimit:
      return fmt::format("{} ({})", report.message, LimitHit(report, {}));
  }
  return "";
}

std::string_view LimitHit(const runtime::SessionReport& report,
                          std::span<const ChannelBound> bounds) {
  if (report.cause == runtime::Cause::kTimedOut) return "timeout";
  if (report.cause == runtime::Cause::kCpuLimit) return "cpu_seconds";
  if (report.cause == runtime::Cause::kMemoryLimit) return "resident_bytes";
  for (const runtime::ChannelUsage& usage : report.channels) {
    if (!usage.hit_put_limit) continue;
    const auto bound = std::ranges::find(bounds, usage.alias, &ChannelBound::alias);
    if (bound != bounds.end()) return NameOf(*bound, usage);
  }
  return "";
}

Error ExplainFailure(const std::string& session, const runtime::SessionReport& report,
                     std::chrono::milliseconds timeout, std::span<const ChannelBound> bounds) {
  const std::string used_up = Bounds(report, bounds);
  return {CodeOf(report, !used_up.empty()),
          fmt::format("session {} failed: {}{}", session, DescribeEnd(report, timeout), used_up)};
}

SessionUsage SumUsage(const runtime::SessionReport& report) {
  SessionUsage sum;
  for (const runtime::ChannelUsage& usage : report.channels) {
    if (usage.alias.starts_with("/dev/in/") || usage.alias.starts_with("/dev/out/")) {
      sum.network_reads += usage.gets;
      sum.network_read_bytes += usage.get_bytes;
      sum.network_writes += usage.puts;
      sum.network_written_bytes += usage.put_bytes;
    } else {
      sum.disk_reads += usage.gets;
      sum.disk_read_bytes += usage.get_bytes;
      sum.disk_writes += usage.puts;
      sum.disk_written_bytes += usage.put_bytes;
    }
  }
  return sum;
}

}  // namespace zerocloud::node
