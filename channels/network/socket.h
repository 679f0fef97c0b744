// Sockets with a deadline and a way to stop: every wait ends when the descriptor is ready, the
// deadline has passed, or the stop event is set. Descriptors given here are non-blocking.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

#include "channels/base/result.h"
#include "channels/base/unique_fd.h"
#include "channels/channel_parse.h"

namespace zerocloud::network {

using Deadline = std::chrono::steady_clock::time_point;

// What ends a wait besides the descriptor itself. `stop_event` (an eventfd that becomes readable;
// owned by the caller) may be -1.
struct Patience {
  Deadline deadline;
  int stop_event = -1;
};

// kTimeout when the deadline passed, kCancelled when stopped. `events` are poll()'s; so are those
// that come back (POLLERR and POLLHUP too).
Result<short> WaitFor(int fd, short events, const Patience& patience);
// The same for either of two; how many the first has comes back in `first`, the second in `second`.
Result<void> WaitForEither(int fd, short events, int other, short other_events,
                           const Patience& patience, short& first, short& second);

// At least one byte, or 0 at the end.
Result<std::size_t> ReceiveSome(int socket, std::span<std::byte> to, const Patience& patience);
// Exactly so many, or kUnavailable if the peer closes before.
Result<void> ReceiveAll(int socket, std::span<std::byte> to, const Patience& patience);
// Never raises SIGPIPE.
Result<void> SendAll(int socket, std::span<const std::byte> bytes, const Patience& patience);

// Listens at `ip` and `port` (0: any; then `port` becomes what was taken).
Result<UniqueFd> Listen(std::uint32_t ip, std::uint16_t& port);
Result<UniqueFd> Accept(int listener, const Patience& patience);
// One attempt; kUnavailable when nobody listens there.
Result<UniqueFd> Connect(std::uint32_t ip, std::uint16_t port, const Patience& patience);
// A UDP socket that talks to one peer only.
Result<UniqueFd> ConnectDatagram(std::uint32_t ip, std::uint16_t port);
// The address that this end of a connected socket has.
Result<std::uint32_t> OwnIp(int socket);

std::string IpText(std::uint32_t ip);  // "127.0.0.1"

}  // namespace zerocloud::network
