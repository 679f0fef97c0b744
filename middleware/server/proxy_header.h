// The header of the PROXY protocol (versions 1 and 2), with which a load balancer says, before
// anything else on a connection, whose it really is. Format: haproxy.org, "The PROXY protocol".
// Pure.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace zerocloud::server {

struct ProxyHeader {
  enum class State { kNeedsMore, kComplete, kRefused };
  State state = State::kRefused;
  std::size_t size = 0;  // kComplete: of the header
  // kComplete: the client's address without its port; empty: the balancer's own connection (LOCAL,
  // UNKNOWN), or none that IP has.
  std::string client;
};

// Never needs more than this many bytes.
inline constexpr std::size_t kMaxProxyHeaderBytes = 16 + 2048;

// `bytes`: all that has come so far.
ProxyHeader ParseProxyHeader(std::string_view bytes);

}  // namespace zerocloud::server
