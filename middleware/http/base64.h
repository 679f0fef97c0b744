// Base64 (RFC 4648, section 4), computed by OpenSSL.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace zerocloud::http {

// With padding.
[[nodiscard]] std::string ToBase64(std::string_view bytes);

// The padding may be missing. nullopt: another character, or a length that no bytes have.
[[nodiscard]] std::optional<std::string> FromBase64(std::string_view text);

}  // namespace zerocloud::http
