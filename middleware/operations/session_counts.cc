#include "middleware/operations/session_counts.h"

#include <fmt/format.h>

#include <algorithm>

#include "middleware/operations/statsd.h"

namespace zerocloud::operations {
namespace {

constexpr auto kRelaxed = std::memory_order_relaxed;

}  // namespace

void SessionCounts::Count(const runtime::SessionReport& report) {
  const auto cause = static_cast<std::size_t>(report.cause);
  causes_.at(std::min(cause, kCauses - 1)).fetch_add(1, kRelaxed);
  seconds_.Add(report.wall_time);
  if (statsd_ != nullptr && statsd_->IsSampled()) {
    statsd_->Timing(fmt::format("{}.{}.timing", statsd_name_, ToString(report.cause)),
                    report.wall_time);
  }
}

void SessionCounts::CountNotStarted() { not_started_.fetch_add(1, kRelaxed); }

void SessionCounts::AppendTo(std::string& text, std::string_view total,
                             std::string_view seconds) const {
  AppendHead(text, total);
  for (std::size_t cause = 0; cause < kCauses; ++cause) {
    const std::uint64_t count = causes_.at(cause).load(kRelaxed);
    if (count == 0) continue;
    text += fmt::format("{}{{cause=\"{}\"}} {}\n", total,
                        ToString(static_cast<runtime::Cause>(cause)), count);
  }
  text += fmt::format("{}{{cause=\"not_started\"}} {}\n", total, not_started_.load(kRelaxed));
  AppendHead(text, seconds);
  seconds_.AppendTo(text, seconds, "");
}

}  // namespace zerocloud::operations
