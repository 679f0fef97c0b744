// JSON as a flat list of its leaves, each with its JSON pointer: all that a configuration needs.
// Bounded in bytes and depth, without recursion. Private to this folder.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "channels/base/result.h"

namespace zerocloud::config {

struct FlatValue {
  enum class Kind : std::uint8_t { kText, kNumber, kBool, kOther, kEmptyObject, kEmptyArray };

  std::string pointer;
  Kind kind = Kind::kText;
  std::string text;          // kText
  std::uint64_t number = 0;  // kNumber: whole and not negative; kBool: 0 or 1
};

inline constexpr std::size_t kMaxJsonBytes = 1 << 20;
inline constexpr std::size_t kMaxJsonDepth = 8;

// kInvalid: not JSON (with the byte offset), not an object, the same key twice, too deep;
// kLimitExceeded: too long.
Result<std::vector<FlatValue>> FlattenJson(std::string_view json);

}  // namespace zerocloud::config
