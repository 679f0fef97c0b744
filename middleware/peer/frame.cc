#include "middleware/peer/frame.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

namespace zerocloud::peer {
namespace {

constexpr std::array kKinds = {
    FrameKind::kHello,  FrameKind::kStart,   FrameKind::kAccepted,  FrameKind::kData,
    FrameKind::kDigest, FrameKind::kStarted, FrameKind::kHeartbeat, FrameKind::kReport,
    FrameKind::kFailed, FrameKind::kKeep,    FrameKind::kDrop,      FrameKind::kSpare,
    FrameKind::kFetch,  FrameKind::kPut,     FrameKind::kStored,    FrameKind::kReady,
    FrameKind::kGo,     FrameKind::kStream,  FrameKind::kCredit};

std::uint32_t ReadBig(std::string_view bytes) {
  std::uint32_t value = 0;
  for (const char byte : bytes.substr(0, 4)) value = value << 8U | static_cast<unsigned char>(byte);
  return value;
}

void WriteBig(std::string& out, std::uint32_t value) {
  for (const unsigned shift : {24U, 16U, 8U, 0U}) out.push_back(static_cast<char>(value >> shift));
}

}  // namespace

std::span<const FrameKind> FrameKinds() { return kKinds; }

std::string_view ToString(FrameKind kind) {
  switch (kind) {
    case FrameKind::kHello:
      return "hello";
    case FrameKind::kStart:
      return "start";
    case FrameKind::kAccepted:
      return "accepted";
    case FrameKind::kData:
      return "data";
    case FrameKind::kDigest:
      return "digest";
    case FrameKind::kStarted:
      return "started";
    case FrameKind::kHeartbeat:
      return "heartbeat";
    case FrameKind::kReport:
      return "report";
    case FrameKind::kFailed:
      return "failed";
    case FrameKind::kKeep:
      return "keep";
    case FrameKind::kDrop:
      return "drop";
    case FrameKind::kSpare:
      return "spare";
    case FrameKind::kFetch:
      return "fetch";
    case FrameKind::kPut:
      return "put";
    case FrameKind::kStored:
      return "stored";
    case FrameKind::kReady:
      return "ready";
    case FrameKind::kGo:
      return "go";
    case FrameKind::kStream:
      return "stream";
    case FrameKind::kCredit:
      return "credit";
  }
  return "unknown";
}

std::size_t MaxPayloadOf(FrameKind kind) {
  switch (kind) {
    case FrameKind::kStarted:
    case FrameKind::kHeartbeat:
    case FrameKind::kKeep:
    case FrameKind::kReady:
    case FrameKind::kGo:
      return 0;
    case FrameKind::kHello:
    case FrameKind::kAccepted:
    case FrameKind::kDigest:
    case FrameKind::kFetch:
    case FrameKind::kStream:
    case FrameKind::kCredit:
      return kMaxShortBytes;
    case FrameKind::kData:
      return kMaxDataBytes;
    default:
      return kMaxJsonBytes;
  }
}

std::string EncodeFrame(FrameKind kind, std::string_view payload) {
  std::string frame;
  frame.reserve(kFrameHeadBytes + payload.size());
  frame.push_back(static_cast<char>(kProtocolVersion));
  frame.push_back(static_cast<char>(kind));
  frame.append(2, '\0');
  WriteBig(frame, static_cast<std::uint32_t>(payload.size()));
  frame += payload;
  return frame;
}

std::string DataPayload(std::uint32_t channel, std::string_view bytes) {
  std::string payload;
  payload.reserve(4 + bytes.size());
  WriteBig(payload, channel);
  payload += bytes;
  return payload;
}

Result<DataView> ReadData(std::string_view payload) {
  if (payload.size() < 4) return Fail(ErrorCode::kInvalid, "a data frame without a channel");
  if (payload.size() == 4) return Fail(ErrorCode::kInvalid, "a data frame without data");
  return DataView{ReadBig(payload), payload.substr(4)};
}

Result<std::optional<Frame>> FrameReader::Next() {
  const std::string_view rest = std::string_view(buffer_).substr(start_);
  if (rest.empty()) return std::nullopt;
  const auto version = static_cast<unsigned char>(rest[0]);
  if (version != kProtocolVersion) {
    return Fail(ErrorCode::kInvalid,
                fmt::format("it speaks version {} of the protocol, this side version {}: run the "
                            "same release of zerocloud on both",
                            version, kProtocolVersion));
  }
  if (rest.size() < kFrameHeadBytes) return std::nullopt;
  const auto kind = static_cast<FrameKind>(rest[1]);
  if (std::ranges::find(kKinds, kind) == kKinds.end() || rest[2] != 0 || rest[3] != 0) {
    return Fail(ErrorCode::kInvalid,
                fmt::format("a frame of kind {}, which there is not in version {}",
                            static_cast<unsigned char>(rest[1]), kProtocolVersion));
  }
  const std::size_t size = ReadBig(rest.substr(4));
  const std::size_t limit = MaxPayloadOf(kind);
  if (size > limit) {
    return Fail(
        ErrorCode::kLimitExceeded,
        fmt::format("a {} frame of {} bytes; at most {} are taken", ToString(kind), size, limit));
  }
  if (rest.size() < kFrameHeadBytes + size) return std::nullopt;
  Frame frame{kind, std::string(rest.substr(kFrameHeadBytes, size))};
  start_ += kFrameHeadBytes + size;
  if (start_ == buffer_.size() || start_ > kMaxJsonBytes) {
    buffer_.erase(0, start_);
    start_ = 0;
  }
  return frame;
}

}  // namespace zerocloud::peer
