// Frames: what proxy and nodes send each other over a SecureConnection. docs/node-protocol.md is
// the contract; its table of kinds is compared with this one by a test.
//
// A frame is 8 bytes of head (version, kind, two zeros, length of the payload as 32 bits, big
// endian) and the payload: JSON, or for kData 4 bytes with the number of a channel (big endian) and
// bytes of it. Pure; what comes in is a stranger's word.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "channels/base/result.h"

namespace zerocloud::peer {

inline constexpr std::uint8_t kProtocolVersion = 2;
inline constexpr std::size_t kFrameHeadBytes = 8;
// Of a payload that is JSON, of one that says only a few things, and of one that is kData.
inline constexpr std::size_t kMaxJsonBytes = 4 << 20;
inline constexpr std::size_t kMaxShortBytes = 4 << 10;
inline constexpr std::size_t kMaxDataBytes = 128 << 10;

enum class FrameKind : std::uint8_t {
  kHello = 1,
  kStart = 2,
  kAccepted = 3,
  kData = 4,
  kDigest = 5,
  kStarted = 6,
  kHeartbeat = 7,
  kReport = 8,
  kFailed = 9,
  kKeep = 10,
  kDrop = 11,
  kSpare = 12,
  kFetch = 13,
  kPut = 14,
  kStored = 15,
  kReady = 16,
  kGo = 17,
  kStream = 18,
  kCredit = 19,
};
std::span<const FrameKind> FrameKinds();
std::string_view ToString(FrameKind kind);  // "hello", "accepted"
// Bytes of its payload; 0: it has none.
std::size_t MaxPayloadOf(FrameKind kind);

struct Frame {
  FrameKind kind = FrameKind::kHeartbeat;
  std::string payload;
};

// REQUIRES: the payload is within its limit.
std::string EncodeFrame(FrameKind kind, std::string_view payload);
std::string DataPayload(std::uint32_t channel, std::string_view bytes);

// What a kData payload holds; the bytes are a view of it. kInvalid: there are none, and such a
// frame would only look like progress.
struct DataView {
  std::uint32_t channel = 0;
  std::string_view bytes;
};
Result<DataView> ReadData(std::string_view payload);

// Bytes in, frames out. After an error nothing more is to be read.
class FrameReader {
 public:
  void Feed(std::string_view bytes) { buffer_ += bytes; }
  // The next whole frame, or nothing yet. kInvalid, kLimitExceeded.
  Result<std::optional<Frame>> Next();
  // In the middle of a frame.
  [[nodiscard]] bool is_inside() const { return buffer_.size() > start_; }

 private:
  std::string buffer_;
  std::size_t start_ = 0;  // what stands before was handed out
};

}  // namespace zerocloud::peer
