// ChannelSpec: what a manifest says about one channel, as a value. Field meanings and the type
// numbers are those of the ZeroVM manifest, version 20130611.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "channels/base/result.h"

namespace zerocloud::channels {

enum class AccessType : std::uint8_t {
  kSequentialBoth = 0,           // SGetSPut
  kRandomGetSequentialPut = 1,   // RGetSPut
  kSequentialGetRandomPut = 2,   // SGetRPut
  kRandomBoth = 3,               // RGetRPut
};

struct ChannelLimits {
  std::int64_t gets = 0, get_size = 0, puts = 0, put_size = 0;
  friend bool operator==(const ChannelLimits&, const ChannelLimits&) = default;
};

struct ChannelSpec {
  std::vector<std::string> sources;  // host paths or "proto:host:port"; never seen by the guest
  std::string alias;                 // what the guest sees: "/dev/stdin"
  AccessType type = AccessType::kSequentialBoth;
  bool wants_digest = false;
  ChannelLimits limits;

  [[nodiscard]] bool is_readable() const { return limits.gets > 0 && limits.get_size > 0; }
  [[nodiscard]] bool is_writable() const { return limits.puts > 0 && limits.put_size > 0; }
  [[nodiscard]] bool has_random_get() const {
    return type == AccessType::kRandomGetSequentialPut || type == AccessType::kRandomBoth;
  }
  [[nodiscard]] bool has_random_put() const {
    return type == AccessType::kSequentialGetRandomPut || type == AccessType::kRandomBoth;
  }
  friend bool operator==(const ChannelSpec&, const ChannelSpec&) = default;
};

}  // namespace zerocloud::channels
