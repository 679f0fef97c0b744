// Result<T>: a value or an Error. Never dropped silently: clang warns where one is discarded.
#pragma once

#include <cerrno>
#include <cstring>
#include <expected>
#include <string>
#include <utility>

#include "channels/base/error.h"

namespace zerocloud {

template <typename T>
class [[nodiscard]] Result : public std::expected<T, Error> {
 public:
  using Base = std::expected<T, Error>;
  using Base::Base;
  // From what and_then() and transform() return.
  Result(Base base) : Base(std::move(base)) {}  // NOLINT(google-explicit-constructor)
};

// `return Fail(ErrorCode::kInvalid, "...");` in a function that returns any Result.
inline std::unexpected<Error> Fail(ErrorCode code, std::string message) {
  return std::unexpected<Error>(Error{code, std::move(message)});
}

// Hands on the error of `result`. REQUIRES: !result.has_value().
template <typename T>
std::unexpected<Error> Fail(const Result<T>& result) {
  return std::unexpected<Error>(result.error());
}

// An Error for a failed host call: "what: strerror(err)". ENOENT, EACCES/EPERM, EEXIST/ENOTEMPTY
// and ENOSPC/EDQUOT/EMFILE/ENFILE/ENOMEM/EAGAIN get the code that tells who must act; others
// kInternal.
inline Error ErrnoError(std::string what, int err) {
  ErrorCode code = ErrorCode::kInternal;
  switch (err) {
    case ENOENT:
      code = ErrorCode::kNotFound;
      break;
    case EACCES:
    case EPERM:
      code = ErrorCode::kForbidden;
      break;
    case EEXIST:
    case ENOTEMPTY:
      code = ErrorCode::kConflict;
      break;
    case ENOSPC:
    case EDQUOT:
    case EMFILE:
    case ENFILE:
    case ENOMEM:
    case EAGAIN:
      code = ErrorCode::kUnavailable;
      break;
    default:
      break;
  }
  return Error{code, std::move(what) + ": " + std::strerror(err)};  // NOLINT(concurrency-mt-unsafe)
}

inline std::unexpected<Error> FailErrno(std::string what, int err = errno) {
  return std::unexpected<Error>(ErrnoError(std::move(what), err));
}

}  // namespace zerocloud
