#include "middleware/http/date.h"

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdio>
#include <vector>

#include "middleware/http/text.h"

namespace zerocloud::http {
namespace {

constexpr std::array<const char*, 12> kMonths = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                                 "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
constexpr std::array<const char*, 7> kDays = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
constexpr std::int64_t kLastSecond = 253402300799;  // 9999-12-31T23:59:59

std::optional<std::int64_t> ParseTime(std::string_view text) {
  const auto parts = SplitTrimmed(text, ':');
  if (text.size() != 8 || parts.size() != 3) return std::nullopt;
  const auto hours = ParseNumber(parts[0]);
  const auto minutes = ParseNumber(parts[1]);
  const auto seconds = ParseNumber(parts[2]);
  if (!hours || !minutes || !seconds || *hours > 23 || *minutes > 59 || *seconds > 60) {
    return std::nullopt;
  }
  return static_cast<std::int64_t>(*hours * 3600 + *minutes * 60 + *seconds);
}

std::optional<std::int64_t> Join(std::string_view day, std::string_view month,
                                 std::string_view year, std::string_view time) {
  const auto day_number = ParseNumber(day);
  auto year_number = ParseNumber(year);
  const auto found =
      std::ranges::find(kMonths, month, [](const char* name) { return std::string_view(name); });
  const auto seconds = ParseTime(time);
  if (!day_number || *day_number > 31 || !year_number || found == kMonths.end() || !seconds) {
    return std::nullopt;
  }
  if (year.size() == 2) *year_number += *year_number < 70 ? 2000 : 1900;  // RFC 850's two digits
  if (*year_number < 1970 || *year_number > 9999) return std::nullopt;
  const std::chrono::year_month_day date{
      std::chrono::year(static_cast<int>(*year_number)),
      std::chrono::month(static_cast<unsigned>(found - kMonths.begin()) + 1),
      std::chrono::day(static_cast<unsigned>(*day_number))};
  if (!date.ok()) return std::nullopt;
  return std::int64_t{std::chrono::sys_days(date).time_since_epoch().count()} * 86400 + *seconds;
}

}  // namespace

std::string FormatDate(std::int64_t seconds) {
  const std::int64_t clamped = std::clamp(seconds, std::int64_t{0}, kLastSecond);
  const std::int64_t days = clamped / 86400;
  const std::int64_t rest = clamped % 86400;
  const std::chrono::sys_days date{std::chrono::days(days)};
  const std::chrono::year_month_day ymd(date);
  const std::chrono::weekday weekday(date);
  std::array<char, 48> text{};
  std::snprintf(text.data(), text.size(), "%s, %02u %s %04d %02d:%02d:%02d GMT",
                kDays[weekday.c_encoding()], static_cast<unsigned>(ymd.day()),
                kMonths[static_cast<unsigned>(ymd.month()) - 1], static_cast<int>(ymd.year()),
                static_cast<int>(rest / 3600), static_cast<int>(rest / 60 % 60),
                static_cast<int>(rest % 60));
  return text.data();
}

std::optional<std::int64_t> ParseDate(std::string_view text) {
  if (text.size() > 64) return std::nullopt;
  const auto words = SplitTrimmed(text, ' ');
  // Sun, 06 Nov 1994 08:49:37 GMT
  if (words.size() == 6 && words[0].ends_with(',') && words[5] == "GMT") {
    return Join(words[1], words[2], words[3], words[4]);
  }
  // Sunday, 06-Nov-94 08:49:37 GMT
  if (words.size() == 4 && words[0].ends_with(',') && words[3] == "GMT") {
    const auto date = SplitTrimmed(words[1], '-');
    if (date.size() == 3) return Join(date[0], date[1], date[2], words[2]);
  }
  // Sun Nov  6 08:49:37 1994
  if (words.size() == 5) return Join(words[2], words[1], words[4], words[3]);
  return std::nullopt;
}

}  // namespace zerocloud::http
