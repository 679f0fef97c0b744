// ChannelSpec: what a manifest says about one channel, as a value. Field meanings and the type
// numbers are those of the ZeroVM manifest, version 20130611.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "channels/access_type.h"
#include "channels/base/result.h"

namespace zerocloud::channels {

struct ChannelSpec {
  std::vector<std::string> sources;  // host paths or "proto:host:port"; never seen by the guest
  std::string alias;                 // what the guest sees: "/dev/stdin"
  AccessType type = AccessType::kSequentialBoth;
  bool wants_digest = false;
  ChannelLimits limits = {};
  std::size_t line = 0;  // of the manifest, from 1, for messages; 0: from no manifest

  [[nodiscard]] bool is_readable() const { return limits.gets > 0 && limits.get_size > 0; }
  [[nodiscard]] bool is_writable() const { return limits.puts > 0 && limits.put_size > 0; }
  [[nodiscard]] bool has_random_get() const { return HasRandomGet(type); }
  [[nodiscard]] bool has_random_put() const { return HasRandomPut(type); }
  friend bool operator==(const ChannelSpec&, const ChannelSpec&) = default;
};

}  // namespace zerocloud::channels
