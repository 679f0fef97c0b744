// How a channel may be used and how much: the two facts about it that the session launcher and the
// host share. Freestanding: no libc, no allocation. Numbers are those of the ZeroVM manifest,
// version 20130611.
#pragma once

#include <cstdint>

namespace zerocloud::channels {

enum class AccessType : std::uint8_t {
  kSequentialBoth = 0,          // SGetSPut
  kRandomGetSequentialPut = 1,  // RGetSPut
  kSequentialGetRandomPut = 2,  // SGetRPut
  kRandomBoth = 3,              // RGetRPut
};

constexpr bool HasRandomGet(AccessType type) {
  return type == AccessType::kRandomGetSequentialPut || type == AccessType::kRandomBoth;
}
constexpr bool HasRandomPut(AccessType type) {
  return type == AccessType::kSequentialGetRandomPut || type == AccessType::kRandomBoth;
}

// Operations and bytes, never negative. A channel is readable when both get limits are positive and
// writable when both put limits are.
struct ChannelLimits {
  std::int64_t gets = 0, get_size = 0, puts = 0, put_size = 0;
  friend constexpr bool operator==(const ChannelLimits&, const ChannelLimits&) = default;
};

}  // namespace zerocloud::channels
