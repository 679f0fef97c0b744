#include "middleware/remote/session_streams.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <utility>

#include "middleware/remote/greeting.h"

namespace zerocloud::remote {
namespace {

struct Pipe {
  UniqueFd read;
  UniqueFd write;
};

Result<Pipe> MakePipe() {
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) return FailErrno("cannot make a pipe");
  return Pipe{UniqueFd(ends[0]), UniqueFd(ends[1])};
}

Result<UniqueFd> Copy(const UniqueFd& end) {
  UniqueFd copy(::fcntl(end.get(), F_DUPFD_CLOEXEC, 0));
  if (!copy.is_open()) return FailErrno("cannot use a pipe");
  return copy;
}

}  // namespace

SessionStreams::~SessionStreams() {
  for (const Streams::Key& key : readers_) streams_.Remove(key);
  streams_.Drain(std::move(drains_));
}

Result<void> SessionStreams::NeedNews() {
  if (news_ != nullptr) return {};
  Result<std::shared_ptr<StreamNews>> made = StreamNews::Make();
  if (!made) return Fail(made);
  news_ = std::move(*made);
  return {};
}

Result<UniqueFd> SessionStreams::OpenReader(const OfferedChannel& channel) {
  if (Result<void> watched = NeedNews(); !watched) return Fail(watched);
  Result<Pipe> pipe = MakePipe();
  if (!pipe) return Fail(pipe);
  const bool is_writer_here = channel.peer.empty();
  if (is_writer_here) {
    Result<UniqueFd> copy = Copy(pipe->read);
    if (!copy) return Fail(copy);
    drains_.push_back(std::move(*copy));
  }
  Streams::Key key{proxy_, channel.stream};
  const std::string name = fmt::format("the stream {} from {}", channel.alias,
                                       is_writer_here ? "this node" : channel.peer);
  Result<void> added = streams_.Add(key, name, std::move(pipe->write), news_);
  if (!added) return Fail(added);
  readers_.push_back(std::move(key));
  return std::move(pipe->read);
}

Result<void> SessionStreams::ConnectWriters(const Offer& offer, runtime::SessionRequest& request) {
  for (std::size_t i = 0; i < offer.channels.size(); ++i) {
    const OfferedChannel& channel = offer.channels[i];
    if (channel.source != Source::kWrite) continue;
    if (is_aborted_) return Fail(ErrorCode::kCancelled, "given up");
    if (channel.peer.empty()) {
      Result<UniqueFd> end = streams_.Take({proxy_, channel.stream});
      if (!end) return Fail(end);
      if (Result<void> copied = KeepCopy(*end); !copied) return copied;
      request.channels[i].file = std::move(*end);
      continue;
    }
    if (Result<void> watched = NeedNews(); !watched) return watched;
    const std::string name = fmt::format("the stream {} to {}", channel.alias, channel.peer);
    const auto fail = [&](const Error& error) {
      return Fail(ErrorCode::kUnavailable, fmt::format("{}: {}", name, error.message));
    };
    auto connection = ConnectToNode(channel.peer, keys_, proxy_, patience_);
    if (!connection) return fail(connection.error());
    Result<Pipe> pipe = MakePipe();
    if (!pipe) return Fail(pipe);
    auto outlet = Outlet::Start(std::move(*connection), channel.stream, name, std::move(pipe->read),
                                patience_, news_);
    if (!outlet) return fail(outlet.error());
    outlets_.push_back(std::move(*outlet));
    if (Result<void> copied = KeepCopy(pipe->write); !copied) return copied;
    request.channels[i].file = std::move(pipe->write);
  }
  return {};
}

Result<void> SessionStreams::KeepCopy(const UniqueFd& end) {
  Result<UniqueFd> copy = Copy(end);
  if (!copy) return Fail(copy);
  writers_.push_back(std::move(*copy));
  return {};
}

bool SessionStreams::is_done() const {
  return std::ranges::all_of(outlets_, [](const auto& outlet) { return outlet->is_done(); }) &&
         std::ranges::all_of(readers_, [&](const auto& key) { return streams_.IsTaken(key); });
}

}  // namespace zerocloud::remote
