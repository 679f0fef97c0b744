// Small questions about the bytes of header fields and names: letters without case, white space,
// UTF-8, whole decimal numbers. Pure; ASCII only, whatever the locale is.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace zerocloud::http {

[[nodiscard]] constexpr char ToLower(char c) {
  return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
}
[[nodiscard]] std::string ToLower(std::string_view text);
[[nodiscard]] inline bool EqualsIgnoringCase(std::string_view a, std::string_view b) {
  if (a.size() != b.size()) return false;
  for (std::size_t i = 0; i < a.size(); ++i) {
    if (a[i] != b[i] && ToLower(a[i]) != ToLower(b[i])) return false;
  }
  return true;
}
[[nodiscard]] bool StartsWithIgnoringCase(std::string_view text, std::string_view prefix);

// Without spaces and tabs at both ends.
[[nodiscard]] std::string_view Trim(std::string_view text);

// The parts between `separator`s, trimmed; empty parts are left out.
[[nodiscard]] std::vector<std::string_view> SplitTrimmed(std::string_view text, char separator);

// Whether `text` is UTF-8 as RFC 3629 has it: no overlong forms, no surrogates, at most U+10FFFF.
// NUL is valid here.
[[nodiscard]] bool IsUtf8(std::string_view text);

// A whole decimal number: digits only, no sign, no space, fits 64 bits.
[[nodiscard]] std::optional<std::uint64_t> ParseNumber(std::string_view text);

// "true", "yes", "on", "1", "t", "y" without case, as Swift reads a flag.
[[nodiscard]] bool IsTrue(std::string_view text);

// A JSON string with its quotes. Bytes beyond ASCII come out as the characters of those numbers, so
// that it is valid whatever the bytes are.
[[nodiscard]] std::string JsonQuoted(std::string_view text);

}  // namespace zerocloud::http
