#include "middleware/remote/away_session.h"

#include <fmt/format.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <system_error>
#include <utility>

#include "middleware/remote/node_session.h"

namespace zerocloud::remote {
namespace {

using std::chrono::milliseconds;
using std::chrono::steady_clock;

constexpr std::size_t kPieceBytes = 64 << 10;

// Whether another node might do better.
bool IsNodesFault(const Failure& failure) {
  switch (failure.error.code) {
    case ErrorCode::kUnavailable:
    case ErrorCode::kInternal:
    case ErrorCode::kTimeout:
      return true;
    case ErrorCode::kInvalid:
      return failure.alias.empty();
    default:
      return false;
  }
}

}  // namespace

AwaySession::AwaySession(Nodes& nodes, node::ElsewhereSession session)
    : nodes_(nodes),
      session_(std::move(session)),
      ended_(::eventfd(0, EFD_CLOEXEC)),
      end_(std::make_unique<node::ElsewhereEnd>()) {}

Result<std::unique_ptr<node::RunningSession>> AwaySession::Start(Nodes& nodes,
                                                                 node::ElsewhereSession session) {
  std::unique_ptr<AwaySession> away(new AwaySession(nodes, std::move(session)));
  if (!away->ended_.is_open()) return FailErrno("cannot watch a session");
  try {
    away->thread_ = std::thread([raw = away.get()] { raw->Run(); });
  } catch (const std::system_error& error) {
    return Fail(ErrorCode::kUnavailable,
                fmt::format("no thread for a session on another node: {}", error.what()));
  }
  return away;
}

AwaySession::~AwaySession() {
  Kill(runtime::Cause::kKilled);
  if (thread_.joinable()) thread_.join();
}

void AwaySession::Kill(runtime::Cause) {
  const std::lock_guard lock(mutex_);
  is_killed_ = true;
  // The node ends what it runs for a connection that is gone.
  if (connection_ != nullptr) connection_->Abort();
}

runtime::SessionReport AwaySession::Collect() {
  thread_.join();
  return std::move(report_);
}

std::unique_ptr<node::ElsewhereEnd> AwaySession::TakeElsewhere() { return std::move(end_); }

void AwaySession::Run() {
  std::vector<std::size_t> tried;
  std::optional<Attempt> last;
  while (!is_killed_ && tried.size() < nodes_.attempts()) {
    const std::optional<std::size_t> node = nodes_.Choose(session_, tried);
    if (!node) break;
    last = TryOn(*node);
    nodes_.Release(*node);
    if (is_killed_) break;
    if (!last->error) {
      end_->node = nodes_.NameOf(*node);
      break;
    }
    if (last->is_final) break;
    if (last->is_connection) nodes_.MarkDown(*node, last->error->message);
    end_->failed.push_back(fmt::format("{}: {}", nodes_.NameOf(*node), last->error->message));
    tried.push_back(*node);
  }
  if (is_killed_ && (!last || last->error)) {
    report_ = {};
    report_.cause = runtime::Cause::kKilled;
    report_.message = "killed";
  } else if (!last) {
    end_->error = Error{ErrorCode::kUnavailable, "there is no node"};
  } else if (last->error && (last->is_final || !last->alias.empty())) {
    end_->error = std::move(last->error);
    end_->failed_alias = last->alias;
  } else if (last->error) {
    end_->error = Error{ErrorCode::kUnavailable, fmt::format("{}", fmt::join(end_->failed, "; "))};
  }
  const std::uint64_t one = 1;
  [[maybe_unused]] const ssize_t ignored = ::write(ended_.get(), &one, sizeof one);
}

AwaySession::Attempt AwaySession::TryOn(std::size_t node) {
  bool is_fresh = false;
  while (true) {
    Nodes::Connection connection = is_fresh ? nullptr : nodes_.TakeIdle(node);
    is_fresh = connection == nullptr;
    if (is_fresh) {
      Result<Nodes::Connection> made = nodes_.Connect(node);
      if (!made) return {.error = made.error(), .alias = {}, .is_connection = true};
      connection = std::move(*made);
    }
    {
      const std::lock_guard lock(mutex_);
      if (is_killed_) return {.error = Error{ErrorCode::kCancelled, "killed"}, .alias = {}};
      connection_ = connection.get();
    }
    Attempt attempt = Converse(*connection);
    {
      const std::lock_guard lock(mutex_);
      connection_ = nullptr;
    }
    if (!attempt.is_connection) {
      nodes_.GiveBack(node, std::move(connection));
      return attempt;
    }
    // An idle one may have been closed long ago.
    if (is_fresh || attempt.was_used || is_killed_) return attempt;
  }
}

Offer AwaySession::MakeOffer() const {
  const runtime::SessionRequest& request = session_.request;
  Offer offer;
  offer.session = session_.name;
  offer.caller = session_.caller;
  offer.sha256 = session_.program->sha256;
  offer.program_size = session_.program->size;
  offer.memory_size = request.memory_size;
  offer.timeout = request.timeout;
  offer.cpu_limit = request.cpu_limit;
  offer.memory_limit = request.memory_limit;
  offer.stderr_tail_bytes = session_.stderr_tail_bytes;
  offer.nvram_bytes = session_.nvram_bytes;
  for (const runtime::SessionChannel& channel : request.channels) {
    OfferedChannel& offered = offer.channels.emplace_back();
    offered.alias = channel.spec.alias;
    offered.type = channel.spec.type;
    offered.limits = channel.spec.limits;
    if (const auto input = session_.inputs.find(offered.alias); input != session_.inputs.end()) {
      offered.source = Source::kObject;
      offered.path = input->second.path;
      offered.is_random = input->second.is_random;
      offered.is_mapped = channel.is_mapped;
      offered.is_local_object = input->second.is_local_object;
      const std::optional<store::ListedObject>& listed = input->second.listed;
      if (!listed) continue;
      offered.listed = listed->info;
      offered.listed_ago =
          std::chrono::duration_cast<milliseconds>(steady_clock::now() - listed->listed);
    } else if (offered.alias == session_.stderr_alias) {
      offered.source = Source::kStderr;
    } else if (channel.file.is_open()) {
      offered.source = channel.spec.is_writable() ? Source::kOutput : Source::kBytes;
      offered.size = channel.size;
    }
  }
  return offer;
}

AwaySession::Attempt AwaySession::Converse(peer::SecureConnection& connection) {
  const NodesOptions& options = nodes_.options();
  const milliseconds heartbeat = HeartbeatInterval(options.patience);
  const Offer offer = MakeOffer();
  Attempt attempt;
  const auto broken = [&](const Error& error) {
    attempt.is_connection = true;
    attempt.error = error;
    return attempt;
  };
  // What an earlier attempt has left.
  incoming_.clear();
  incoming_.resize(offer.channels.size());
  for (std::size_t i = 0; i < offer.channels.size(); ++i) {
    if (offer.channels[i].source != Source::kOutput) continue;
    if (::ftruncate(session_.request.channels[i].file.get(), 0) != 0) {
      attempt.is_final = true;
      attempt.error = ErrnoError("cannot empty a file of the spool", errno);
      attempt.was_used = true;
      return attempt;
    }
  }
  if (Result<void> sent = connection.Send(peer::FrameKind::kStart, Encode(offer)); !sent) {
    return broken(sent.error());
  }
  steady_clock::time_point last_heard = steady_clock::now();
  steady_clock::time_point until = last_heard + options.opening;
  std::string waits_for = "has not started the session";
  while (true) {
    Result<std::optional<peer::Frame>> received = connection.Receive(heartbeat);
    if (!received) return broken(received.error());
    const steady_clock::time_point now = steady_clock::now();
    if (!received->has_value()) {
      if (now - last_heard > options.patience.silence) {
        return broken({ErrorCode::kTimeout, fmt::format("it has been silent for {} ms",
                                                        options.patience.silence.count())});
      }
      Result<void> sent = connection.Send(peer::FrameKind::kHeartbeat, {});
      if (!sent) return broken(sent.error());
    } else {
      last_heard = now;
    }
    if (now > until) return broken({ErrorCode::kTimeout, "it " + waits_for + " in time"});
    const std::optional<peer::Frame>& next = *received;
    if (!next) continue;
    const peer::Frame& frame = *next;
    Result<void> taken;
    switch (frame.kind) {
      case peer::FrameKind::kHeartbeat:
        // Answered, so that both sides hear of each other however busy one is.
        taken = connection.Send(peer::FrameKind::kHeartbeat, {});
        break;
      case peer::FrameKind::kAccepted: {
        const Result<Accepted> accepted = ParseAccepted(frame.payload);
        if (!accepted) return broken(accepted.error());
        if (attempt.was_used) return broken({ErrorCode::kInvalid, "it accepted twice"});
        attempt.was_used = true;
        taken = SendBytes(connection, offer, accepted->needs_program);
        last_heard = steady_clock::now();
        break;
      }
      case peer::FrameKind::kStarted:
        until = now + offer.timeout + options.ending;
        waits_for = "has not ended the session";
        break;
      case peer::FrameKind::kData:
        until = std::max(until, now + options.ending);
        taken = TakeData(offer, frame.payload);
        break;
      case peer::FrameKind::kDigest:
        taken = TakeDigest(frame.payload);
        break;
      case peer::FrameKind::kReport:
        attempt.was_used = true;
        taken = TakeReport(offer, frame.payload);
        if (!taken) return broken(taken.error());
        return attempt;
      case peer::FrameKind::kFailed: {
        attempt.was_used = true;
        Result<Failure> failure = ParseFailure(frame.payload);
        if (!failure) return broken(failure.error());
        if (!session_.inputs.contains(failure->alias)) failure->alias.clear();
        attempt.is_final = !IsNodesFault(*failure);
        attempt.error = std::move(failure->error);
        attempt.alias = std::move(failure->alias);
        return attempt;
      }
      case peer::FrameKind::kHello:
      case peer::FrameKind::kStart:
        return broken({ErrorCode::kInvalid, fmt::format("it sent a {} frame where there is none",
                                                        ToString(frame.kind))});
    }
    if (!taken) return broken(taken.error());
  }
}

Result<void> AwaySession::SendBytes(peer::SecureConnection& connection, const Offer& offer,
                                    bool needs_program) {
  if (needs_program) {
    Result<void> sent = SendStream(connection, kProgramChannel, session_.program->file.get(),
                                   session_.program->size);
    if (!sent) return sent;
  }
  for (std::size_t i = 0; i < offer.channels.size(); ++i) {
    if (offer.channels[i].source != Source::kBytes) continue;
    Result<void> sent = SendStream(connection, static_cast<std::uint32_t>(i),
                                   session_.request.channels[i].file.get(), offer.channels[i].size);
    if (!sent) return sent;
  }
  return {};
}

Result<void> AwaySession::SendStream(peer::SecureConnection& connection, std::uint32_t channel,
                                     int file, std::uint64_t size) {
  Sha256 sha256;
  std::string piece(kPieceBytes, '\0');
  for (std::uint64_t sent = 0; sent < size;) {
    const std::size_t want = std::min<std::uint64_t>(piece.size(), size - sent);
    const ssize_t got = ::pread(file, piece.data(), want, static_cast<off_t>(sent));
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) return FailErrno("cannot read what is to be sent to it", got < 0 ? errno : EIO);
    const std::string_view bytes(piece.data(), static_cast<std::size_t>(got));
    sha256.Add(bytes);
    Result<void> told = connection.Send(peer::FrameKind::kData, peer::DataPayload(channel, bytes));
    if (!told) return told;
    sent += bytes.size();
  }
  return connection.Send(peer::FrameKind::kDigest, Encode(StreamEnd{channel, size, sha256.Hex()}));
}

Result<void> AwaySession::TakeData(const Offer& offer, std::string_view payload) {
  const Result<peer::DataView> data = peer::ReadData(payload);
  if (!data) return Fail(data);
  if (data->channel >= offer.channels.size() ||
      offer.channels[data->channel].source != Source::kOutput) {
    return Fail(ErrorCode::kInvalid, "it sent bytes of what the session does not write");
  }
  Incoming& incoming = incoming_[data->channel];
  const auto most = static_cast<std::uint64_t>(offer.channels[data->channel].limits.put_size);
  if (incoming.is_whole || data->bytes.size() > most - incoming.size) {
    return Fail(ErrorCode::kInvalid, "it sent more than the session may write");
  }
  incoming.sha256.Add(data->bytes);
  const int file = session_.request.channels[data->channel].file.get();
  std::string_view left = data->bytes;
  while (!left.empty()) {
    const ssize_t put = ::pwrite(file, left.data(), left.size(), static_cast<off_t>(incoming.size));
    if (put < 0 && errno == EINTR) continue;
    if (put <= 0) return FailErrno("cannot keep what it sends", put < 0 ? errno : ENOSPC);
    incoming.size += static_cast<std::uint64_t>(put);
    left.remove_prefix(static_cast<std::size_t>(put));
  }
  return {};
}

Result<void> AwaySession::TakeDigest(std::string_view payload) {
  const Result<StreamEnd> end = ParseStreamEnd(payload);
  if (!end) return Fail(end);
  if (end->channel >= incoming_.size() || incoming_[end->channel].is_whole) {
    return Fail(ErrorCode::kInvalid, "it sent a digest of nothing");
  }
  Incoming& incoming = incoming_[end->channel];
  if (end->size != incoming.size || end->sha256 != incoming.sha256.Hex()) {
    return Fail(ErrorCode::kInvalid,
                fmt::format("what it sent of {} is not what its digest says",
                            session_.request.channels[end->channel].spec.alias));
  }
  incoming.is_whole = true;
  return {};
}

Result<void> AwaySession::TakeReport(const Offer& offer, std::string_view payload) {
  Result<EndReport> end = ParseEndReport(payload);
  if (!end) return Fail(end);
  const bool is_same = std::ranges::equal(end->report.channels, offer.channels, {},
                                          &runtime::ChannelUsage::alias, &OfferedChannel::alias);
  if (!is_same) return Fail(ErrorCode::kInvalid, "it reports other channels than were offered");
  const bool has_succeeded =
      end->report.cause == runtime::Cause::kExited && end->report.exit_code == 0;
  for (std::size_t i = 0; has_succeeded && i < offer.channels.size(); ++i) {
    if (offer.channels[i].source != Source::kOutput) continue;
    if (!incoming_[i].is_whole || incoming_[i].size != end->report.channels[i].size) {
      return Fail(ErrorCode::kInvalid,
                  fmt::format("it has not sent all of {}", offer.channels[i].alias));
    }
  }
  report_ = std::move(end->report);
  end_->has_objects = end->has_objects;
  end_->is_local = end->is_local;
  end_->why_not_local = std::move(end->why_not_local);
  end_->stderr_tail = std::move(end->stderr_tail);
  return {};
}

}  // namespace zerocloud::remote
