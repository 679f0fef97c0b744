// Ready-made responses: a status with one sentence, and what status an Error is.
#pragma once

#include <string>
#include <string_view>

#include "middleware/http/message.h"

namespace zerocloud::http {

// "Not Found"; "Unknown" for a number that is none of ours.
[[nodiscard]] std::string_view ReasonPhrase(int status);

// The status that says who must act: kInvalid 400, kForbidden 403, kNotFound 404, kConflict 409,
// kLimitExceeded 413, kTimeout 408, kCancelled 499, kUnavailable 503, the rest 500.
[[nodiscard]] int StatusOf(ErrorCode code);

// `sentence` as text/plain, a line feed added.
[[nodiscard]] Response TextResponse(int status, std::string_view sentence);
[[nodiscard]] Response ErrorResponse(const Error& error);

// Puts the ids that every answer carries: X-Trans-Id and X-Openstack-Request-Id.
void SetTransId(Response& response, std::string_view trans_id);

}  // namespace zerocloud::http
