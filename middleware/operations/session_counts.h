// SessionCounts: how sessions ended and how long they took. Counting is a few relaxed atomic
// additions, without locks and without memory.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "middleware/operations/exposition.h"
#include "sandbox/runtime/session.h"

namespace zerocloud::operations {

class Statsd;

class SessionCounts {
 public:
  // `statsd` may be null; else it outlives this, and gets NAME.CAUSE.timing of each session.
  SessionCounts(Statsd* statsd, std::string_view statsd_name)
      : statsd_(statsd), statsd_name_(statsd_name) {}

  void Count(const runtime::SessionReport& report);
  void CountNotStarted();
  // Two metrics of the table: "..._sessions_total" and "..._session_seconds".
  void AppendTo(std::string& text, std::string_view total, std::string_view seconds) const;

 private:
  static constexpr std::size_t kCauses = 32;

  Statsd* const statsd_;
  const std::string statsd_name_;
  std::array<std::atomic<std::uint64_t>, kCauses> causes_{};
  std::atomic<std::uint64_t> not_started_{0};
  Histogram seconds_;
};

}  // namespace zerocloud::operations
