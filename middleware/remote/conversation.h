// Conversation: a node's side of a connection while it carries one session. Used by that session's
// thread. Private to this folder.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>

#include "channels/base/result.h"
#include "middleware/peer/secure_connection.h"
#include "middleware/remote/wire.h"

namespace zerocloud::remote {

// How often each side lets the other hear of it.
std::chrono::milliseconds HeartbeatInterval(const peer::ConnectionLimits& limits);

// Errors are the connection's: it broke, fell silent, or the proxy does not keep to the protocol.
class Conversation {
 public:
  // `connection` outlives it.
  Conversation(peer::SecureConnection& connection, const peer::ConnectionLimits& patience)
      : connection_(connection), patience_(patience), heartbeat_(HeartbeatInterval(patience)) {}

  [[nodiscard]] int fd() const { return connection_.fd(); }
  [[nodiscard]] std::chrono::milliseconds heartbeat() const { return heartbeat_; }
  Result<void> Send(peer::FrameKind kind, std::string_view payload) {
    return connection_.Send(kind, payload);
  }
  Result<void> Tell(const Failure& failure) {
    return connection_.Send(peer::FrameKind::kFailed, Encode(failure));
  }

  // Sends and takes heartbeats; to be called more often than they are sent.
  Result<void> StayInTouch();
  // The same, until a frame of that kind comes, for so long at most.
  Result<void> Await(peer::FrameKind kind, std::chrono::milliseconds limit);

  // A stream of data frames and its digest, into `file`; what it is must have been offered. Without
  // a file (-1), or after an error of its disk, which goes into `disk`, it is read past. It may
  // take as long as so many bytes may (LongestWay()).
  Result<void> TakeStream(std::uint32_t channel, std::uint64_t size, int file,
                          std::optional<Error>& disk);
  // The first `size` bytes of a file and their digest. An error of its disk goes into `disk`.
  Result<void> SendFile(std::uint32_t channel, int file, std::uint64_t size,
                        std::optional<Error>& disk);

 private:
  Result<void> HearAndSay();

  peer::SecureConnection& connection_;
  const peer::ConnectionLimits patience_;
  const std::chrono::milliseconds heartbeat_;
  std::chrono::steady_clock::time_point last_heard_ = std::chrono::steady_clock::now();
  std::chrono::steady_clock::time_point last_said_ = last_heard_;
};

}  // namespace zerocloud::remote
