#include "middleware/remote/send_bytes.h"

#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <string>
#include <string_view>
#include <utility>

#include "middleware/digest/digest.h"
#include "middleware/remote/wire.h"
#include "middleware/remote/wire_values.h"

namespace zerocloud::remote {
namespace {

constexpr std::uint64_t kSlowest = 64 << 10;  // bytes a second

}  // namespace

std::chrono::milliseconds LongestWay(std::uint64_t size, std::chrono::milliseconds silence) {
  // Whatever size a stranger names, it is a time that a clock can tell.
  constexpr std::uint64_t kLongestSeconds = kLongestMs / 1000;
  return silence + std::chrono::seconds(std::min(size / kSlowest, kLongestSeconds));
}

ReadAt ReadFileAt(int file, const char* what) {
  return [file, what](std::uint64_t offset, std::span<std::byte> buffer) -> Result<std::size_t> {
    ssize_t got = -1;
    do {
      got = ::pread(file, buffer.data(), buffer.size(), static_cast<off_t>(offset));
    } while (got < 0 && errno == EINTR);
    if (got <= 0) return FailErrno(what, got < 0 ? errno : EIO);
    return static_cast<std::size_t>(got);
  };
}

std::expected<void, Unsent> SendBytes(peer::SecureConnection& connection, std::uint32_t channel,
                                      std::uint64_t size, const ReadAt& read) {
  digest::Sha256 sha256;
  // One payload for all frames; the bytes stand behind what says whose they are.
  std::string payload = peer::DataPayload(channel, std::string(kPieceBytes, '\0'));
  const std::span<char> space = std::span(payload).last(kPieceBytes);
  const std::size_t before = payload.size() - kPieceBytes;
  for (std::uint64_t sent = 0; sent < size;) {
    const auto wanted =
        static_cast<std::size_t>(std::min<std::uint64_t>(space.size(), size - sent));
    Result<std::size_t> got = read(sent, std::as_writable_bytes(space.first(wanted)));
    if (!got) return std::unexpected(Unsent{Unsent::Cause::kRead, std::move(got.error())});
    sha256.Add(std::string_view(payload).substr(before, *got));
    Result<void> told =
        connection.Send(peer::FrameKind::kData, std::string_view(payload).substr(0, before + *got));
    if (!told) return std::unexpected(Unsent{Unsent::Cause::kConnection, std::move(told.error())});
    sent += *got;
  }
  Result<void> told =
      connection.Send(peer::FrameKind::kDigest, Encode(StreamEnd{channel, size, sha256.Hex()}));
  if (!told) return std::unexpected(Unsent{Unsent::Cause::kConnection, std::move(told.error())});
  return {};
}

}  // namespace zerocloud::remote
