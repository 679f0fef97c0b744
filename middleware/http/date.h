// HTTP dates (RFC 9110, 5.6.7): written as IMF-fixdate, read in all three forms. Seconds since
// 1970.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace zerocloud::http {

// "Sun, 06 Nov 1994 08:49:37 GMT". Years 1970 to 9999; beyond, the nearest of them.
[[nodiscard]] std::string FormatDate(std::int64_t seconds);

// nullopt: none of the three forms, or no real date.
[[nodiscard]] std::optional<std::int64_t> ParseDate(std::string_view text);

}  // namespace zerocloud::http
