// The error value that every module returns. An Error says who must act (the code) and, in one
// sentence, what was wrong, where, which limit, and what to do (the message).
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>

namespace zerocloud {

// A closed list: who must act. Renderings (HTTP status, log level) are tables over it.
enum class ErrorCode : std::uint8_t {
  kInvalid,        // the input is wrong: its author must change it
  kForbidden,      // the caller has no right to it
  kNotFound,       // a named thing does not exist
  kConflict,       // the state of the target forbids it (exists, changed meanwhile, not empty)
  kLimitExceeded,  // a configured limit was hit; the message names it and its value
  kUnavailable,    // try again later: no slot, no peer, a full disk
  kTimeout,        // a deadline passed
  kCancelled,      // the client or the operator ended it
  kRejectedCode,   // a guest program is not acceptable: the verifier or loader refused it
  kGuestFault,     // a guest ended abnormally
  kInternal,       // our defect or a broken host; never the caller's fault
};

// The enumerator's name in lower_snake_case, for JSON and logs: "limit_exceeded".
constexpr std::string_view ToString(ErrorCode code) {
  switch (code) {
    case ErrorCode::kInvalid:
      return "invalid";
    case ErrorCode::kForbidden:
      return "forbidden";
    case ErrorCode::kNotFound:
      return "not_found";
    case ErrorCode::kConflict:
      return "conflict";
    case ErrorCode::kLimitExceeded:
      return "limit_exceeded";
    case ErrorCode::kUnavailable:
      return "unavailable";
    case ErrorCode::kTimeout:
      return "timeout";
    case ErrorCode::kCancelled:
      return "cancelled";
    case ErrorCode::kRejectedCode:
      return "rejected_code";
    case ErrorCode::kGuestFault:
      return "guest_fault";
    case ErrorCode::kInternal:
      return "internal";
  }
  return "internal";
}

struct Error {
  ErrorCode code = ErrorCode::kInternal;
  std::string message;

  friend bool operator==(const Error&, const Error&) = default;
};

}  // namespace zerocloud
