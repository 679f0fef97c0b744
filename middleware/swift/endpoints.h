// What Swift's middleware list_endpoints answers for an object: where its replicas lie, without a
// ring. Pure. Source: Swift 2.30, swift.common.middleware.list_endpoints, response version 2.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "channels/base/result.h"

namespace zerocloud::swift {

inline constexpr std::size_t kMaxEndpointsBytes = 1 << 20;
inline constexpr std::size_t kMaxEndpoints = 64;

struct Endpoint {
  std::string address;  // as the ring has it, without brackets and port
  std::string device;   // one path component
  std::uint32_t partition = 0;
};
struct Endpoints {
  unsigned policy = 0;
  std::vector<Endpoint> endpoints;  // in the order of the answer
};

// kInvalid, kLimitExceeded: a phrase about "it".
Result<Endpoints> ParseEndpoints(std::string_view json);

}  // namespace zerocloud::swift
