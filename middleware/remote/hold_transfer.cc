#include "middleware/remote/hold_transfer.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <expected>
#include <span>
#include <string_view>
#include <utility>
#include <vector>

#include "middleware/digest/digest.h"
#include "middleware/remote/greeting.h"
#include "middleware/remote/send_bytes.h"
#include "middleware/remote/wire.h"
#include "middleware/remote/wire_holds.h"

namespace zerocloud::remote {
namespace {

using Kind = FetchEnd::Kind;

FetchEnd Broken(std::string why) {
  return {Kind::kBroken, {ErrorCode::kUnavailable, std::move(why)}};
}

// 0, or errno.
int WriteAll(int file, std::string_view bytes, std::uint64_t offset) {
  while (!bytes.empty()) {
    const ssize_t put = ::pwrite(file, bytes.data(), bytes.size(), static_cast<off_t>(offset));
    if (put < 0 && errno == EINTR) continue;
    if (put <= 0) return put < 0 ? errno : ENOSPC;
    offset += static_cast<std::uint64_t>(put);
    bytes.remove_prefix(static_cast<std::size_t>(put));
  }
  return 0;
}

}  // namespace

FetchEnd FetchHold(peer::SecureConnection& connection, const HeldFacts& held, int file,
                   std::chrono::milliseconds silence) {
  Result<void> asked = connection.Send(peer::FrameKind::kFetch, Encode(FetchOrder{held.id}));
  if (!asked) return Broken(asked.error().message);
  digest::Sha256 sha256;
  std::uint64_t got = 0;
  const auto limit = LongestWay(held.size, silence);
  const auto until = std::chrono::steady_clock::now() + limit;
  while (true) {
    const Result<std::optional<peer::Frame>> received = connection.Receive(silence);
    if (!received) return Broken(received.error().message);
    if (std::chrono::steady_clock::now() > until) {
      return Broken(fmt::format("it has not sent the {} bytes that it holds within {} ms",
                                held.size, limit.count()));
    }
    const std::optional<peer::Frame>& frame = *received;
    if (!frame) return Broken(fmt::format("it has been silent for {} ms", silence.count()));
    switch (frame->kind) {
      case peer::FrameKind::kHeartbeat:
        continue;
      case peer::FrameKind::kFailed: {
        Result<Failure> failure = ParseFailure(frame->payload);
        if (!failure) return Broken(failure.error().message);
        return {Kind::kLost, std::move(failure->error)};
      }
      case peer::FrameKind::kData: {
        const Result<peer::DataView> data = peer::ReadData(frame->payload);
        if (!data) return Broken(data.error().message);
        if (data->channel != 0 || data->bytes.size() > held.size - got) {
          return Broken(fmt::format("it sends more than the {} bytes that it holds", held.size));
        }
        sha256.Add(data->bytes);
        if (const int why = WriteAll(file, data->bytes, got); why != 0) {
          return {Kind::kDisk, ErrnoError("cannot keep what was held on another node", why)};
        }
        got += data->bytes.size();
        continue;
      }
      case peer::FrameKind::kDigest: {
        const Result<StreamEnd> end = ParseStreamEnd(frame->payload);
        if (!end) return Broken(end.error().message);
        if (got != held.size || sha256.Hex() != held.sha256) {
          return Broken("what it sends is not what it held");
        }
        return {};
      }
      default:
        return Broken(fmt::format("it answered a fetch with a {} frame", ToString(frame->kind)));
    }
  }
}

Result<std::string> DigestOf(int file, std::uint64_t size,
                             const std::function<Result<void>()>& between) {
  const ReadAt read = ReadFileAt(file, "cannot read what the session wrote");
  digest::Sha256 sha256;
  std::string piece(kPieceBytes, '\0');
  for (std::uint64_t done = 0; done < size;) {
    const auto wanted =
        static_cast<std::size_t>(std::min<std::uint64_t>(piece.size(), size - done));
    const Result<std::size_t> got =
        read(done, std::as_writable_bytes(std::span(piece).first(wanted)));
    if (!got) return Fail(got);
    sha256.Add(std::string_view(piece).substr(0, *got));
    done += *got;
    if (Result<void> here = between(); !here) return Fail(here);
  }
  return sha256.Hex();
}

Result<void> SendHold(peer::SecureConnection& connection, const Hold& hold) {
  const auto read = [&hold](std::uint64_t offset, std::span<std::byte> buffer) {
    return hold.Read(offset, buffer);
  };
  std::expected<void, Unsent> sent = SendBytes(connection, 0, hold.size(), read);
  if (sent) return {};
  if (sent.error().cause == Unsent::Cause::kConnection) {
    return std::unexpected(std::move(sent.error().error));
  }
  return connection.Send(peer::FrameKind::kFailed,
                         Encode(Failure{std::move(sent.error().error), {}, {}}));
}

FetchEnd HoldFetcher::Fetch(const std::string& holder, const HeldFacts& held, int file) {
  {
    const std::lock_guard lock(mutex_);
    if (is_aborted_) return Broken("given up");
  }
  auto known = holders_.find(holder);
  if (known == holders_.end()) {
    known = holders_.emplace(holder, Holder{}).first;
    auto made = ConnectToNode(holder, keys_, proxy_, patience_);
    if (made) {
      known->second.connection = std::move(*made);
    } else {
      known->second.error = made.error();
    }
  }
  Holder& its = known->second;
  if (its.connection == nullptr) return {Kind::kBroken, its.error};
  {
    const std::lock_guard lock(mutex_);
    if (is_aborted_) return Broken("given up");
    current_ = its.connection.get();
  }
  FetchEnd end = FetchHold(*its.connection, held, file, patience_.silence);
  {
    const std::lock_guard lock(mutex_);
    current_ = nullptr;
  }
  if (end.kind == Kind::kBroken || end.kind == Kind::kDisk) {
    its.connection.reset();
    its.error = end.error;
  }
  return end;
}

void HoldFetcher::Abort() {
  const std::lock_guard lock(mutex_);
  is_aborted_ = true;
  if (current_ != nullptr) current_->Abort();
}

}  // namespace zerocloud::remote
