// Bytes that lie on this machine on their way to another one: data frames, and the digest of all of
// them at the end. Private to this folder.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <expected>
#include <functional>
#include <span>

#include "channels/base/result.h"
#include "middleware/peer/secure_connection.h"

namespace zerocloud::remote {

// Of one data frame, at most.
inline constexpr std::size_t kPieceBytes = std::size_t{64} << 10;

// How long so many bytes may be on their way, from a side that may be silent for so long: at the
// slowest rate that is borne. A side that only says that it is there has no longer.
std::chrono::milliseconds LongestWay(std::uint64_t size, std::chrono::milliseconds silence);

// How many bytes were read at an offset, at least one; or why none.
using ReadAt =
    std::function<Result<std::size_t>(std::uint64_t offset, std::span<std::byte> buffer)>;

// Reads a file, which stays the caller's. One that ends too early is an error (EIO), of which
// `what` was not possible.
ReadAt ReadFileAt(int file, const char* what);

// Why not all was sent.
struct Unsent {
  enum class Cause : std::uint8_t {
    kRead,        // the connection is as good as before, between two frames
    kConnection,  // which is of no more use
  };
  Cause cause;
  Error error;
};

// Bytes [0, size) as that channel's, and their SHA-256.
std::expected<void, Unsent> SendBytes(peer::SecureConnection& connection, std::uint32_t channel,
                                      std::uint64_t size, const ReadAt& read);

}  // namespace zerocloud::remote
