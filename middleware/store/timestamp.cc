#include "middleware/store/timestamp.h"

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdio>

#include "middleware/http/text.h"

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

std::optional<Timestamp> Timestamp::Parse(std::string_view text) {
  constexpr std::size_t kPoint = 10;
  if (text.size() != kPoint + 6 || text[kPoint] != '.') return std::nullopt;
  const std::optional<std::uint64_t> seconds = http::ParseNumber(text.substr(0, kPoint));
  const std::optional<std::uint64_t> rest = http::ParseNumber(text.substr(kPoint + 1));
  if (!seconds || !rest) return std::nullopt;
  return Timestamp{static_cast<std::int64_t>(*seconds * 100'000 + *rest)};
}

std::optional<Timestamp> Timestamp::ParseIso(std::string_view text) {
  constexpr std::string_view kForm = "dddd-dd-ddTdd:dd:dd.dddddd";
  if (text.size() != kForm.size()) return std::nullopt;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const bool is_digit = text[i] >= '0' && text[i] <= '9';
    if (kForm[i] == 'd' ? !is_digit : text[i] != kForm[i]) return std::nullopt;
  }
  const auto number = [&](std::size_t at, std::size_t length) {
    return static_cast<unsigned>(http::ParseNumber(text.substr(at, length)).value_or(0));
  };
  const std::chrono::year_month_day date(std::chrono::year(static_cast<int>(number(0, 4))),
                                         std::chrono::month(number(5, 2)),
                                         std::chrono::day(number(8, 2)));
  if (!date.ok() || number(11, 2) > 23 || number(14, 2) > 59 || number(17, 2) > 59) {
    return std::nullopt;
  }
  const std::int64_t days = std::chrono::sys_days(date).time_since_epoch().count();
  const std::int64_t seconds = days * 86400 + std::int64_t{number(11, 2)} * 3600 +
                               std::int64_t{number(14, 2)} * 60 + number(17, 2);
  if (seconds < 0) return std::nullopt;
  return Timestamp{seconds * 100'000 + number(20, 6) / 10};
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
