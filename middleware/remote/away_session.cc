#include "middleware/remote/away_session.h"

#include <fmt/format.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <expected>
#include <future>
#include <system_error>
#include <utility>

#include "middleware/digest/digest.h"
#include "middleware/remote/away_gang.h"
#include "middleware/remote/node_session.h"
#include "middleware/remote/send_bytes.h"
#include "middleware/remote/wire_holds.h"

namespace zerocloud::remote {
namespace {

using std::chrono::milliseconds;
using std::chrono::steady_clock;

// Whether another node might do better.
bool IsNodesFault(const Failure& failure) {
  switch (failure.error.code) {
    case ErrorCode::kUnavailable:
    case ErrorCode::kInternal:
    case ErrorCode::kTimeout:
      return true;
    case ErrorCode::kInvalid:
    case ErrorCode::kNotFound:
    case ErrorCode::kForbidden:
    case ErrorCode::kConflict:
      return failure.alias.empty();  // no input is to blame
    default:
      return false;
  }
}

Result<std::string> ReadNvram(const runtime::SessionRequest& request) {
  for (const runtime::SessionChannel& channel : request.channels) {
    if (channel.spec.alias != "/dev/nvram") continue;
    std::string text(channel.size, '\0');
    const ssize_t got = ::pread(channel.file.get(), text.data(), text.size(), 0);
    if (got != static_cast<ssize_t>(text.size())) return FailErrno("cannot read /dev/nvram");
    return text;
  }
  return std::string();
}

}  // namespace

AwaySession::AwaySession(Nodes& nodes, node::ElsewhereSession session)
    : nodes_(nodes),
      session_(std::move(session)),
      stop_(killed_.get_token()),
      end_(std::make_unique<node::ElsewhereEnd>()) {}

AwaySession::AwaySession(Nodes& nodes, node::ElsewhereSession session,
                         std::shared_ptr<AwayGang> gang)
    : nodes_(nodes),
      session_(std::move(session)),
      ended_(::eventfd(0, EFD_CLOEXEC)),
      end_(std::make_unique<node::ElsewhereEnd>()),
      gang_(std::move(gang)) {}

Result<std::unique_ptr<node::RunningSession>> AwaySession::Start(Nodes& nodes,
                                                                 node::ElsewhereSession session) {
  std::unique_ptr<AwaySession> away(new AwaySession(nodes, std::move(session)));
  away->ended_.Reset(::eventfd(0, EFD_CLOEXEC));
  if (!away->ended_.is_open()) return FailErrno("cannot watch a session");
  if (!away->session_.held_outputs.empty()) {
    Result<std::string> nvram = ReadNvram(away->session_.request);
    if (!nvram) return Fail(nvram);
    away->nvram_ = std::move(*nvram);
  }
  try {
    away->thread_ = std::thread([raw = away.get()] { raw->Run(); });
  } catch (const std::system_error& error) {
    return Fail(ErrorCode::kUnavailable,
                fmt::format("no thread for a session on another node: {}", error.what()));
  }
  return away;
}

AwayResult AwaySession::RunHere(Nodes& nodes, node::ElsewhereSession session,
                                std::vector<std::size_t> avoided, const std::stop_token& stop) {
  AwaySession away(nodes, std::move(session));
  away.stop_ = stop;
  away.avoided_ = std::move(avoided);
  const std::optional<std::size_t> node = away.RunOnNodes();
  AwayResult result;
  result.end = std::move(away.end_);
  result.has_succeeded = node && away.has_succeeded();
  result.report = std::move(away.report_);
  result.node = node.value_or(0);
  result.outputs = std::move(away.outputs_);
  return result;
}

AwaySession::~AwaySession() {
  Kill(runtime::Cause::kKilled);
  if (thread_.joinable()) thread_.join();
  if (gang_ != nullptr) gang_->WaitUntilOver();
}

// The node ends what it runs for a connection that is gone.
void AwaySession::Kill(runtime::Cause) {
  killed_.request_stop();
  if (gang_ != nullptr) gang_->Stop();
}

runtime::SessionReport AwaySession::Collect() {
  if (thread_.joinable()) thread_.join();
  if (gang_ != nullptr) gang_->WaitUntilOver();
  return std::move(report_);
}

std::unique_ptr<node::ElsewhereEnd> AwaySession::TakeElsewhere() { return std::move(end_); }

void AwaySession::Run() {
  if (const std::optional<std::size_t> node = RunOnNodes()) HandOverHeld(*node);
  // What is left of it is of no use to anybody.
  session_.held_inputs.clear();
  const std::uint64_t one = 1;
  [[maybe_unused]] const ssize_t ignored = ::write(ended_.get(), &one, sizeof one);
}

std::optional<std::size_t> AwaySession::RunOnNodes() {
  std::vector<std::size_t> tried;
  std::optional<Attempt> last;
  std::size_t losses = 0;
  while (!stop_.stop_requested() && tried.size() < nodes_.attempts()) {
    const std::optional<std::size_t> node = Choose(tried);
    if (!node) break;
    last = TryOn(*node);
    nodes_.Release(*node);
    if (!last->error) {
      end_->node = nodes_.NameOf(*node);
      return node;
    }
    if (stop_.stop_requested() || last->is_final) break;
    if (!last->lost.empty()) {
      Result<void> again;
      if (++losses > nodes_.attempts()) {
        again = std::unexpected(*last->error);
      } else {
        again = RunLostAgain(last->lost, last->error->message, stop_);
      }
      // It is the holders' fault, unless this node says so again and again.
      if (losses > 1) avoided_.push_back(*node);
      if (again) continue;
      last->error = again.error();
      last->is_final = true;
      break;
    }
    if (last->is_connection) nodes_.MarkDown(*node, last->error->message);
    end_->failed.push_back(fmt::format("{}: {}", nodes_.NameOf(*node), last->error->message));
    tried.push_back(*node);
  }
  if (stop_.stop_requested()) {
    report_ = {};
    report_.cause = runtime::Cause::kKilled;
    report_.message = "killed";
  } else if (!last) {
    end_->error = Error{ErrorCode::kUnavailable, "there is no node"};
  } else if (last->is_final || !last->alias.empty()) {
    end_->error = std::move(last->error);
    end_->failed_alias = last->alias;
  } else {
    end_->error = Error{ErrorCode::kUnavailable, fmt::format("{}", fmt::join(end_->failed, "; "))};
  }
  return std::nullopt;
}

std::optional<std::size_t> AwaySession::Choose(const std::vector<std::size_t>& tried) {
  if (!avoided_.empty()) {
    std::vector<std::size_t> both = tried;
    both.insert(both.end(), avoided_.begin(), avoided_.end());
    std::ranges::sort(both);
    both.erase(std::ranges::unique(both).begin(), both.end());
    const std::optional<std::size_t> other = nodes_.Choose(session_, both);
    if (other) return other;
  }
  return nodes_.Choose(session_, tried);
}

Result<void> AwaySession::RunLostAgain(const std::vector<std::size_t>& channels,
                                       const std::string& why, const std::stop_token& stop) {
  std::atomic<std::size_t> next = 0;
  const auto work = [&]() -> Result<void> {
    for (std::size_t i = next++; i < channels.size(); i = next++) {
      const HeldInput& held = held_[channels[i]];
      Result<void> again = held.session->RunAgain(held.place.run, why, stop);
      if (!again) return again;
    }
    return {};
  };
  // They have no slots of the proxy's, so not more at once than the nodes have.
  constexpr std::size_t kMostThreads = 16;
  const std::size_t threads =
      std::min({channels.size(), kMostThreads, std::max<std::size_t>(1, nodes_.slots())});
  std::vector<std::future<Result<void>>> others;
  const auto start_another = [&] {
    try {
      others.push_back(std::async(std::launch::async, work));
      return true;
    } catch (const std::system_error&) {
      return false;
    }
  };
  while (others.size() + 1 < threads && start_another()) {
  }
  Result<void> result = work();
  for (std::future<Result<void>>& other : others) {
    Result<void> its = other.get();
    if (result) result = std::move(its);
  }
  return result;
}

void AwaySession::HandOverHeld(std::size_t node) {
  if (session_.held_outputs.empty() || !has_succeeded()) return;
  std::vector<std::pair<std::string, std::size_t>> held;
  for (std::size_t i = 0; i < session_.request.channels.size(); ++i) {
    runtime::SessionChannel& channel = session_.request.channels[i];
    channel.file.Reset();
    if (!outputs_[i].id.empty()) held.emplace_back(channel.spec.alias, i);
  }
  auto later = std::make_shared<node::LaterRuns>();
  auto session = std::make_shared<HeldSession>(nodes_, std::move(session_), std::move(nvram_), node,
                                               std::move(outputs_), later);
  for (const auto& [alias, channel] : held) {
    end_->held[alias] = std::make_shared<HeldOutput>(session, channel);
  }
  end_->later = std::move(later);
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
    Attempt attempt;
    {
      const std::stop_callback abort(stop_, [&] { connection->Abort(); });
      attempt = Converse(node, *connection);
    }
    if (!attempt.is_connection) {
      nodes_.GiveBack(node, std::move(connection));
      return attempt;
    }
    // An idle one may have been closed long ago.
    const bool is_over = attempt.was_used || attempt.is_final || stop_.stop_requested();
    if (is_fresh || is_over) return attempt;
    is_fresh = true;
  }
}

Offer AwaySession::MakeOffer(std::size_t node) {
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
  offer.is_of_gang = attempt_ != nullptr;
  held_.assign(request.channels.size(), {});
  outputs_.assign(request.channels.size(), {});
  for (std::size_t i = 0; i < request.channels.size(); ++i) {
    const runtime::SessionChannel& channel = request.channels[i];
    OfferedChannel& offered = offer.channels.emplace_back();
    offered.alias = channel.spec.alias;
    offered.type = channel.spec.type;
    offered.limits = channel.spec.limits;
    OfferSource(node, i, offered);
  }
  return offer;
}

void AwaySession::OfferSource(std::size_t node, std::size_t channel, OfferedChannel& offered) {
  const runtime::SessionChannel& its = session_.request.channels[channel];
  if (const auto input = session_.inputs.find(offered.alias); input != session_.inputs.end()) {
    offered.source = Source::kObject;
    offered.path = input->second.path;
    offered.is_random = input->second.is_random;
    offered.is_mapped = its.is_mapped;
    offered.is_local_object = input->second.is_local_object;
    const std::optional<store::ListedObject>& listed = input->second.listed;
    if (!listed) return;
    offered.listed = listed->info;
    offered.listed_ago =
        std::chrono::duration_cast<milliseconds>(steady_clock::now() - listed->listed);
  } else if (const auto held = session_.held_inputs.find(offered.alias);
             held != session_.held_inputs.end()) {
    // Whatever is held elsewhere was handed over by a session of this class.
    const auto& output = dynamic_cast<const HeldOutput&>(*held->second);
    held_[channel] = {&output.session(), output.Where()};
    const HeldSession::Place& place = held_[channel].place;
    offered.source = Source::kHeld;
    offered.size = place.facts.size;
    offered.hold = place.facts.id;
    offered.sha256 = place.facts.sha256;
    if (place.node != node) offered.holder = nodes_.NameOf(place.node);
  } else if (const auto stream = session_.streams.find(offered.alias);
             stream != session_.streams.end()) {
    offered.source = its.spec.is_writable() ? Source::kWrite : Source::kRead;
    offered.stream = attempt_->StreamId(stream->second.number);
    const std::size_t peer = attempt_->NodeOf(stream->second.peer);
    if (peer != node) offered.peer = nodes_.NameOf(peer);
  } else if (session_.held_outputs.contains(offered.alias)) {
    offered.source = Source::kHold;
    offered.hold = NewId();
    outputs_[channel].id = offered.hold;
  } else if (offered.alias == session_.stderr_alias) {
    offered.source = Source::kStderr;
  } else if (its.file.is_open()) {
    offered.source = its.spec.is_writable() ? Source::kOutput : Source::kBytes;
    offered.size = its.size;
  }
}

AwaySession::Attempt AwaySession::Converse(std::size_t node, peer::SecureConnection& connection) {
  const NodesOptions& options = nodes_.options();
  const milliseconds heartbeat = HeartbeatInterval(options.patience);
  const Offer offer = MakeOffer(node);
  Attempt attempt;
  const auto broken = [&](const Error& error) {
    attempt.is_connection = true;
    attempt.is_final = is_own_fault_;
    attempt.error = error;
    return attempt;
  };
  // What an earlier attempt has left.
  is_own_fault_ = false;
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
  bool is_started = false;
  enum class Gang : std::uint8_t { kStarting, kReady, kGone } gang = Gang::kStarting;
  while (true) {
    if (gang == Gang::kReady && attempt_->goes()) {
      if (Result<void> sent = connection.Send(peer::FrameKind::kGo, {}); !sent) {
        return broken(sent.error());
      }
      gang = Gang::kGone;
    }
    Result<std::optional<peer::Frame>> received =
        connection.Receive(heartbeat, gang == Gang::kReady ? attempt_->go_fd() : -1);
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
        taken = SendInputs(connection, offer, accepted->needs_program);
        last_heard = steady_clock::now();
        break;
      }
      case peer::FrameKind::kReady:
        if (attempt_ == nullptr || !attempt.was_used || gang != Gang::kStarting) {
          return broken({ErrorCode::kInvalid, "it is ready for what was not offered"});
        }
        gang = Gang::kReady;
        attempt_->Ready(member_);
        break;
      case peer::FrameKind::kStarted:
        if (attempt_ != nullptr && gang != Gang::kGone) {
          return broken({ErrorCode::kInvalid, "it started one of a gang before the others"});
        }
        if (!attempt.was_used || std::exchange(is_started, true)) {
          return broken({ErrorCode::kInvalid, "it started what it had not accepted, or twice"});
        }
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
        // From here on it counts on what the node holds, and the node knows.
        if (taken && has_succeeded() && !session_.held_outputs.empty()) {
          taken = connection.Send(peer::FrameKind::kKeep, {});
        }
        if (!taken) return broken(taken.error());
        return attempt;
      case peer::FrameKind::kFailed:
        return TakeFailure(offer, frame.payload);
      default:
        return broken({ErrorCode::kInvalid, fmt::format("it sent a {} frame where there is none",
                                                        ToString(frame.kind))});
    }
    if (!taken) return broken(taken.error());
  }
}

AwaySession::Attempt AwaySession::TakeFailure(const Offer& offer, std::string_view payload) const {
  Attempt attempt;
  attempt.was_used = true;
  Result<Failure> failure = ParseFailure(payload);
  if (!failure) {
    attempt.is_connection = true;
    attempt.error = failure.error();
    return attempt;
  }
  for (const std::string& lost : failure->lost) {
    const auto channel = std::ranges::find(offer.channels, lost, &OfferedChannel::hold);
    if (channel == offer.channels.end() || channel->source != Source::kHeld) {
      attempt.is_connection = true;
      attempt.error = Error{ErrorCode::kInvalid, "it says that it lost what it was not offered"};
      return attempt;
    }
    attempt.lost.push_back(static_cast<std::size_t>(channel - offer.channels.begin()));
  }
  if (!session_.inputs.contains(failure->alias)) failure->alias.clear();
  attempt.is_final = attempt.lost.empty() && !IsNodesFault(*failure);
  attempt.is_busy = failure->is_busy;
  attempt.error = std::move(failure->error);
  attempt.alias = std::move(failure->alias);
  return attempt;
}

Result<void> AwaySession::SendInputs(peer::SecureConnection& connection, const Offer& offer,
                                     bool needs_program) {
  const auto send = [&](std::uint32_t channel, int file, std::uint64_t size) -> Result<void> {
    std::expected<void, Unsent> sent = SendBytes(
        connection, channel, size, ReadFileAt(file, "cannot read what is to be sent to a node"));
    if (sent) return {};
    is_own_fault_ = sent.error().cause == Unsent::Cause::kRead;
    return std::unexpected(std::move(sent.error().error));
  };
  if (needs_program) {
    Result<void> sent = send(kProgramChannel, session_.program->file.get(), session_.program->size);
    if (!sent) return sent;
  }
  for (std::size_t i = 0; i < offer.channels.size(); ++i) {
    if (offer.channels[i].source != Source::kBytes) continue;
    Result<void> sent = send(static_cast<std::uint32_t>(i), session_.request.channels[i].file.get(),
                             offer.channels[i].size);
    if (!sent) return sent;
  }
  return {};
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
    if (put <= 0) {
      is_own_fault_ = true;
      return FailErrno("cannot keep what a node sends", put < 0 ? errno : ENOSPC);
    }
    incoming.size += static_cast<std::uint64_t>(put);
    left.remove_prefix(static_cast<std::size_t>(put));
  }
  return {};
}

Result<void> AwaySession::TakeDigest(std::string_view payload) {
  const Result<StreamEnd> end = ParseStreamEnd(payload);
  if (!end) return Fail(end);
  const std::vector<runtime::SessionChannel>& channels = session_.request.channels;
  if (end->channel >= channels.size() || incoming_[end->channel].is_whole ||
      !channels[end->channel].file.is_open() || !channels[end->channel].spec.is_writable()) {
    return Fail(ErrorCode::kInvalid, "it sent a digest of nothing");
  }
  Incoming& incoming = incoming_[end->channel];
  HeldFacts& facts = outputs_[end->channel];
  facts.size = incoming.size;
  facts.sha256 = incoming.sha256.Hex();
  if (end->size != incoming.size || end->sha256 != facts.sha256) {
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
  const bool is_good = end->report.cause == runtime::Cause::kExited && end->report.exit_code == 0;
  for (std::size_t i = 0; i < offer.channels.size(); ++i) {
    const OfferedChannel& offered = offer.channels[i];
    const bool is_held = is_good && offered.source == Source::kHold;
    if (is_held == end->digests[i].empty()) {
      return Fail(ErrorCode::kInvalid, fmt::format("it should {}hold {} and says otherwise",
                                                   is_held ? "" : "not ", offered.alias));
    }
    const std::uint64_t size = end->report.channels[i].size;
    if (is_held && size > static_cast<std::uint64_t>(offered.limits.put_size)) {
      return Fail(ErrorCode::kInvalid, "it holds more than the session may write");
    }
    if (is_held) outputs_[i] = {offered.hold, size, std::move(end->digests[i])};
    if (!is_good || offered.source != Source::kOutput) continue;
    if (!incoming_[i].is_whole || incoming_[i].size != size) {
      return Fail(ErrorCode::kInvalid, fmt::format("it has not sent all of {}", offered.alias));
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
