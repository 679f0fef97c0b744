// Conditional requests (RFC 9110, 13): If-Match, If-None-Match, If-Modified-Since,
// If-Unmodified-Since and If-Range against what is stored.
#pragma once

#include <cstdint>
#include <string_view>

#include "middleware/http/message.h"

namespace zerocloud::http {

enum class Precondition { kHolds, kNotModified, kFailed };  // go on, 304, 412

// For GET and HEAD of something that exists. `etag` without quotes; `last_modified` in seconds.
// Entity tags in the fields may have quotes, W/ (ignored) or, as Swift clients send them, neither.
// A date that cannot be read counts as absent.
[[nodiscard]] Precondition EvaluatePreconditions(const Headers& headers, std::string_view etag,
                                                 std::int64_t last_modified);

// Whether `field` (of If-Match or If-None-Match) names `etag`, or is "*".
[[nodiscard]] bool MatchesEtag(std::string_view field, std::string_view etag);

// Whether a Range field is to be heeded: there is no If-Range, or it names what is stored.
[[nodiscard]] bool RangeApplies(const Headers& headers, std::string_view etag,
                                std::int64_t last_modified);

// "\"abc\"" or "abc" -> "abc".
[[nodiscard]] std::string_view StripQuotes(std::string_view etag);

}  // namespace zerocloud::http
