#include "middleware/remote/conversation.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <expected>
#include <string>
#include <utility>

#include "middleware/digest/digest.h"
#include "middleware/remote/send_bytes.h"

namespace zerocloud::remote {
namespace {

using std::chrono::milliseconds;
using std::chrono::steady_clock;

std::unexpected<Error> Unexpected(const peer::Frame& frame) {
  return Fail(ErrorCode::kInvalid,
              fmt::format("it sent a {} frame where there is none", ToString(frame.kind)));
}

}  // namespace

milliseconds HeartbeatInterval(const peer::ConnectionLimits& limits) {
  return std::max(milliseconds(1), limits.silence / 4);
}

Result<void> Conversation::StayInTouch() {
  while (true) {
    const Result<std::optional<peer::Frame>> frame = connection_.TryReceive();
    if (!frame) return Fail(frame);
    const std::optional<peer::Frame>& next = *frame;
    if (!next) return HearAndSay();
    if (next->kind != peer::FrameKind::kHeartbeat) return Unexpected(*next);
    last_heard_ = steady_clock::now();
  }
}

Result<void> Conversation::Await(peer::FrameKind kind, milliseconds limit) {
  const steady_clock::time_point until = steady_clock::now() + limit;
  while (true) {
    const auto left = std::chrono::ceil<milliseconds>(until - steady_clock::now());
    const Result<std::optional<peer::Frame>> frame =
        connection_.Receive(std::clamp(left, milliseconds(0), heartbeat_));
    if (!frame) return Fail(frame);
    const std::optional<peer::Frame>& next = *frame;
    if (next) last_heard_ = steady_clock::now();
    if (next && next->kind == kind) return {};
    if (next && next->kind != peer::FrameKind::kHeartbeat) return Unexpected(*next);
    if (steady_clock::now() >= until) {
      return Fail(ErrorCode::kTimeout,
                  fmt::format("it has not said {} within {} ms", ToString(kind), limit.count()));
    }
    if (Result<void> here = HearAndSay(); !here) return here;
  }
}

Result<void> Conversation::HearAndSay() {
  const steady_clock::time_point now = steady_clock::now();
  if (now - last_heard_ > patience_.silence) {
    return Fail(ErrorCode::kTimeout,
                fmt::format("it has been silent for {} ms", patience_.silence.count()));
  }
  if (now - last_said_ < heartbeat_) return {};
  last_said_ = now;
  return connection_.Send(peer::FrameKind::kHeartbeat, {});
}

Result<void> Conversation::TakeStream(std::uint32_t channel, std::uint64_t size, int file,
                                      std::optional<Error>& disk) {
  digest::Sha256 sha256;
  std::uint64_t got = 0;
  const milliseconds limit = LongestWay(size, patience_.silence);
  const steady_clock::time_point until = steady_clock::now() + limit;
  while (true) {
    Result<std::optional<peer::Frame>> frame = connection_.Receive(patience_.silence);
    if (!frame) return Fail(frame);
    if (steady_clock::now() > until) {
      return Fail(ErrorCode::kTimeout,
                  fmt::format("it has not sent all of a stream of {} bytes within {} ms", size,
                              limit.count()));
    }
    const std::optional<peer::Frame>& taken = *frame;
    if (!taken) return Fail(ErrorCode::kTimeout, "it stopped within a stream");
    last_heard_ = steady_clock::now();
    const peer::Frame& next = *taken;
    if (next.kind == peer::FrameKind::kHeartbeat) continue;
    if (next.kind == peer::FrameKind::kDigest) {
      const Result<StreamEnd> end = ParseStreamEnd(next.payload);
      if (!end) return Fail(end);
      if (end->channel != channel || end->size != got || got != size ||
          end->sha256 != sha256.Hex()) {
        return Fail(ErrorCode::kInvalid,
                    fmt::format("the bytes that came are not those that it sent: {} of {}, or "
                                "another SHA-256",
                                got, size));
      }
      return {};
    }
    if (next.kind != peer::FrameKind::kData) return Unexpected(next);
    const Result<peer::DataView> data = peer::ReadData(next.payload);
    if (!data) return Fail(data);
    if (data->channel != channel || data->bytes.size() > size - got) {
      return Fail(ErrorCode::kInvalid, "it sent more bytes than it had offered");
    }
    sha256.Add(data->bytes);
    std::string_view left = data->bytes;
    while (!left.empty() && file >= 0 && !disk) {
      const ssize_t put = ::pwrite(file, left.data(), left.size(), static_cast<off_t>(got));
      if (put < 0 && errno == EINTR) continue;
      if (put <= 0) {
        disk = ErrnoError("cannot keep what the session is to read", put < 0 ? errno : ENOSPC);
        break;
      }
      got += static_cast<std::uint64_t>(put);
      left.remove_prefix(static_cast<std::size_t>(put));
    }
    got += left.size();
  }
}

Result<void> Conversation::SendFile(std::uint32_t channel, int file, std::uint64_t size,
                                    std::optional<Error>& disk) {
  std::expected<void, Unsent> sent =
      SendBytes(connection_, channel, size, ReadFileAt(file, "cannot read what the session wrote"));
  last_heard_ = last_said_ = steady_clock::now();  // it has taken bytes all the time
  if (sent) return {};
  if (sent.error().cause == Unsent::Cause::kConnection) {
    return std::unexpected(std::move(sent.error().error));
  }
  disk = std::move(sent.error().error);
  return {};
}

}  // namespace zerocloud::remote
