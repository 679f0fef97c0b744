#include "middleware/store/timestamp.h"

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdio>

namespace zerocloud::store {

std::string Timestamp::ToString() const {
  std::array<char, 40> text{};
  std::snprintf(text.data(), text.size(), "%010lld.%05lld", static_cast<long long>(ticks / 100'000),
                static_cast<long long>(ticks % 100'000));
  return text.data();
}

std::string Timestamp::ToIso() const {
  const std::int64_t seconds = ticks / 100'000;
  const std::chrono::sys_days date{std::chrono::days(seconds / 86400)};
  const std::chrono::year_month_day ymd(date);
  const std::int64_t rest = seconds % 86400;
  std::array<char, 64> text{};
  std::snprintf(text.data(), text.size(), "%04d-%02u-%02uT%02d:%02d:%02d.%05lld0",
                static_cast<int>(ymd.year()), static_cast<unsigned>(ymd.month()),
                static_cast<unsigned>(ymd.day()), static_cast<int>(rest / 3600),
                static_cast<int>(rest / 60 % 60), static_cast<int>(rest % 60),
                static_cast<long long>(ticks % 100'000));
  return text.data();
}

WallClock SystemWallClock() {
  return [] {
    return std::chrono::duration_cast<std::chrono::nanoseconds>(
               std::chrono::system_clock::now().time_since_epoch())
        .count();
  };
}

Timestamp TimestampSource::Next() {
  const std::scoped_lock lock(mutex_);
  last_ = std::max(Timestamp::FromNanoseconds(clock_()), Timestamp{last_.ticks + 1});
  return last_;
}

void TimestampSource::AdvancePast(Timestamp seen) {
  const std::scoped_lock lock(mutex_);
  last_ = std::max(last_, seen);
}

}  // namespace zerocloud::store
