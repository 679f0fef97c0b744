#include "middleware/remote/held_session.h"

#include <fmt/format.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <map>
#include <utility>

#include "middleware/remote/away_session.h"
#include "middleware/remote/node_session.h"
#include "middleware/remote/send_bytes.h"
#include "middleware/remote/wire_holds.h"

namespace zerocloud::remote {
namespace {

using std::chrono::milliseconds;
using std::chrono::steady_clock;

constexpr std::string_view kNvram = "/dev/nvram";
// What a holder has for storing an object, besides the time for its bytes.
constexpr std::chrono::minutes kMostForAPut{10};

// The answer to an order about a hold.
struct Answer {
  std::optional<Error> error;
  bool is_lost = false;  // the node does not have it, or does not answer
  bool is_broken = false;
  store::ObjectInfo info;
};
Answer Lost(std::string why) {
  return {.error = Error{ErrorCode::kUnavailable, std::move(why)},
          .is_lost = true,
          .is_broken = true,
          .info = {}};
}

// Has `ask` talk to the node, on a connection of its own. One that was idle may have been closed
// long ago: then it is asked once more, on a new one, which does no harm for any order.
template <typename Ask>
Answer AskNode(Nodes& nodes, std::size_t node, Ask ask) {
  bool is_fresh = false;
  while (true) {
    Nodes::Connection connection = is_fresh ? nullptr : nodes.TakeIdle(node);
    const bool was_idle = connection != nullptr;
    is_fresh = true;
    if (!was_idle) {
      Result<Nodes::Connection> made = nodes.Connect(node);
      if (!made) return Lost(made.error().message);
      connection = std::move(*made);
    }
    Answer answer = ask(*connection);
    if (!answer.is_broken) nodes.GiveBack(node, std::move(connection));
    if (!answer.is_broken || !was_idle) return answer;
  }
}

Answer AskToPut(peer::SecureConnection& connection, const PutOrder& order, std::uint64_t size,
                const peer::ConnectionLimits& patience) {
  Result<void> sent = connection.Send(peer::FrameKind::kPut, Encode(order));
  if (!sent) return Lost(sent.error().message);
  steady_clock::time_point last_heard = steady_clock::now();
  // Heartbeats are no answer for ever.
  const steady_clock::time_point until =
      last_heard + kMostForAPut + LongestWay(size, patience.silence);
  while (true) {
    const Result<std::optional<peer::Frame>> received =
        connection.Receive(HeartbeatInterval(patience));
    if (!received) return Lost(received.error().message);
    if (steady_clock::now() > until) return Lost("it has not stored it in time");
    const std::optional<peer::Frame>& frame = *received;
    if (!frame) {
      if (steady_clock::now() - last_heard > patience.silence) {
        return Lost(fmt::format("it has been silent for {} ms", patience.silence.count()));
      }
      continue;
    }
    last_heard = steady_clock::now();
    if (frame->kind == peer::FrameKind::kHeartbeat) continue;
    if (frame->kind == peer::FrameKind::kStored) {
      Result<Stored> stored = ParseStored(frame->payload);
      if (!stored) return Lost(stored.error().message);
      if (stored->info.size != size) return Lost("it stored another number of bytes");
      return {.error = std::nullopt, .info = std::move(stored->info)};
    }
    if (frame->kind != peer::FrameKind::kFailed) {
      return Lost(fmt::format("it answered a put with a {} frame", ToString(frame->kind)));
    }
    Result<Failure> failure = ParseFailure(frame->payload);
    if (!failure) return Lost(failure.error().message);
    return {.error = std::move(failure->error), .is_lost = !failure->lost.empty(), .info = {}};
  }
}

Answer AskToSend(peer::SecureConnection& connection, const HeldFacts& facts, int file,
                 milliseconds silence) {
  FetchEnd end = FetchHold(connection, facts, file, silence);
  switch (end.kind) {
    case FetchEnd::Kind::kWhole:
      return {};
    case FetchEnd::Kind::kLost:
      return {.error = std::move(end.error), .is_lost = true, .info = {}};
    case FetchEnd::Kind::kBroken:
      return Lost(end.error.message);
    case FetchEnd::Kind::kDisk:
      return {.error = std::move(end.error), .is_broken = true, .info = {}};
  }
  return {};
}

// Asks where the bytes are, and where they are next if they are lost there.
template <typename Ask>
Result<store::ObjectInfo> AskUntilHad(HeldSession& session, std::size_t channel,
                                      const std::stop_token& stop, Ask ask) {
  while (true) {
    const HeldSession::Place place = session.Where(channel);
    Answer answer = AskNode(session.nodes(), place.node, [&](peer::SecureConnection& connection) {
      return ask(connection, place.facts);
    });
    if (!answer.error) return std::move(answer.info);
    if (!answer.is_lost) return std::unexpected(*std::move(answer.error));
    Result<void> again = session.RunAgain(place.run, answer.error->message, stop);
    if (!again) return Fail(again);
  }
}

}  // namespace

std::vector<std::size_t> NearHeldInputs(const node::ElsewhereSession& session) {
  std::map<std::size_t, std::uint64_t> bytes;
  std::uint64_t most = 0;
  for (const auto& [alias, held] : session.held_inputs) {
    const HeldSession::Place place = dynamic_cast<const HeldOutput&>(*held).Where();
    most = std::max(most, bytes[place.node] += place.facts.size);
  }
  std::vector<std::size_t> nodes;
  for (const auto& [node, size] : bytes) {
    if (size >= most - size) nodes.push_back(node);
  }
  return nodes;
}

HeldSession::HeldSession(Nodes& nodes, node::ElsewhereSession session, std::string nvram,
                         std::size_t node, std::vector<HeldFacts> outputs,
                         std::shared_ptr<node::LaterRuns> later)
    : nodes_(nodes),
      session_(std::move(session)),
      nvram_(std::move(nvram)),
      later_(std::move(later)),
      node_(node),
      outputs_(std::move(outputs)) {}

HeldSession::~HeldSession() { DropHolds(node_, outputs_); }

void HeldSession::DropHolds(std::size_t node, const std::vector<HeldFacts>& outputs) {
  std::vector<std::string> ids;
  for (const HeldFacts& facts : outputs) {
    if (!facts.id.empty()) ids.push_back(facts.id);
  }
  nodes_.Drop(node, std::move(ids));
}

HeldSession::Place HeldSession::Where(std::size_t channel) const {
  const std::lock_guard lock(mutex_);
  return {node_, run_, outputs_[channel]};
}

void HeldSession::Spare(std::size_t channel) {
  const std::lock_guard lock(mutex_);
  nodes_.Spare(node_, {outputs_[channel].id});
}

Result<void> HeldSession::RunAgain(std::uint64_t lost_run, const std::string& why,
                                   const std::stop_token& stop) {
  std::unique_lock lock(mutex_);
  has_run_.wait(lock, stop, [&] { return !is_running_ || run_ != lost_run; });
  if (run_ != lost_run) return {};
  if (stop.stop_requested()) return Fail(ErrorCode::kCancelled, "the job has ended");
  if (final_) return std::unexpected(*final_);
  const std::string lost = fmt::format("{}: what it held was lost: {}", nodes_.NameOf(node_), why);
  later_->Lost(lost);
  nodes_.Note(node_, fmt::format("what it held was lost: {}", why));
  if (lost_on_.size() + 1 >= nodes_.attempts()) {
    final_ = Error{ErrorCode::kUnavailable,
                   fmt::format("what session {} wrote was lost on {} nodes, and nodes.attempts is "
                               "{}; the last was {}",
                               session_.name, lost_on_.size() + 1, nodes_.attempts(), lost)};
    return std::unexpected(*final_);
  }
  lost_on_.push_back(node_);
  is_running_ = true;
  const std::vector<std::size_t> lost_on = lost_on_;
  lock.unlock();
  Result<void> result = RunOnAnother(lost_on, stop);
  lock.lock();
  is_running_ = false;
  if (!result && result.error().code != ErrorCode::kCancelled) final_ = result.error();
  has_run_.notify_all();
  return result;
}

Result<node::ElsewhereSession> HeldSession::Describe() const {
  node::ElsewhereSession session;
  session.name = session_.name;
  session.caller = session_.caller;
  session.program = session_.program;
  session.inputs = session_.inputs;
  session.held_inputs = session_.held_inputs;
  session.stderr_alias = session_.stderr_alias;
  session.stderr_tail_bytes = session_.stderr_tail_bytes;
  session.nvram_bytes = session_.nvram_bytes;
  session.attached = session_.attached;
  session.company = session_.company;
  const runtime::SessionRequest& first = session_.request;
  session.request.memory_size = first.memory_size;
  session.request.timeout = first.timeout;
  session.request.cpu_limit = first.cpu_limit;
  session.request.memory_limit = first.memory_limit;
  for (std::size_t i = 0; i < first.channels.size(); ++i) {
    const runtime::SessionChannel& its = first.channels[i];
    runtime::SessionChannel& channel = session.request.channels.emplace_back();
    channel.spec = its.spec;
    channel.size = its.size;
    channel.is_stream = its.is_stream;
    channel.is_mapped = its.is_mapped;
    // What was sent back the first time is only compared.
    if (!outputs_[i].sha256.empty()) session.held_outputs.insert(its.spec.alias);
    if (its.spec.alias != kNvram) continue;
    channel.file.Reset(::memfd_create("nvram", MFD_CLOEXEC));
    if (!channel.file.is_open() || ::pwrite(channel.file.get(), nvram_.data(), nvram_.size(), 0) !=
                                       static_cast<ssize_t>(nvram_.size())) {
      return FailErrno("cannot make /dev/nvram");
    }
  }
  return session;
}

Result<void> HeldSession::RunOnAnother(const std::vector<std::size_t>& lost_on,
                                       const std::stop_token& stop) {
  Result<node::ElsewhereSession> description = Describe();
  if (!description) return Fail(description);
  AwayResult ran = AwaySession::RunHere(nodes_, std::move(*description), lost_on, stop);
  for (std::string& failed : ran.end->failed) later_->Lost(std::move(failed));
  if (stop.stop_requested() && !ran.has_succeeded) {
    return Fail(ErrorCode::kCancelled, "the job has ended");
  }
  if (const std::optional<Error>& error = ran.end->error) {
    return Fail(error->code,
                fmt::format("session {} had to run again: {}", session_.name, error->message));
  }
  if (!ran.has_succeeded) {
    return Fail(ErrorCode::kUnavailable,
                fmt::format("session {} had to run again, and did not succeed as before: {}, exit "
                            "code {} {}",
                            session_.name, runtime::ToString(ran.report.cause),
                            ran.report.exit_code, ran.report.message));
  }
  const std::lock_guard lock(mutex_);
  for (std::size_t i = 0; i < outputs_.size(); ++i) {
    if (outputs_[i].sha256.empty()) continue;
    if (outputs_[i].sha256 == ran.outputs[i].sha256 && outputs_[i].size == ran.outputs[i].size) {
      continue;
    }
    DropHolds(ran.node, ran.outputs);
    return Fail(ErrorCode::kConflict,
                fmt::format("session {} had to run again, since what it had written was lost, and "
                            "wrote something else to {} than before: an object that it reads was "
                            "replaced meanwhile; post the job again",
                            session_.name, session_.request.channels[i].spec.alias));
  }
  std::vector<std::string> unwanted;  // of what was held only to be compared
  for (std::size_t i = 0; i < outputs_.size(); ++i) {
    if (outputs_[i].id.empty() && !ran.outputs[i].id.empty()) {
      unwanted.push_back(std::exchange(ran.outputs[i].id, {}));
    }
  }
  nodes_.Drop(ran.node, std::move(unwanted));
  DropHolds(node_, outputs_);  // should it be there after all
  node_ = ran.node;
  outputs_ = std::move(ran.outputs);
  ++run_;
  later_->RanOn(nodes_.NameOf(node_));
  return {};
}

Result<store::ObjectInfo> HeldOutput::Store(const store::Caller& caller,
                                            const store::NewObject& object, std::stop_token stop) {
  const peer::ConnectionLimits& patience = session_->nodes().options().patience;
  return AskUntilHad(
      *session_, channel_, stop, [&](peer::SecureConnection& connection, const HeldFacts& facts) {
        return AskToPut(connection, {facts.id, caller, object}, facts.size, patience);
      });
}

Result<void> HeldOutput::Fetch(int file, std::stop_token stop) {
  const milliseconds silence = session_->nodes().options().patience.silence;
  const Result<store::ObjectInfo> fetched = AskUntilHad(
      *session_, channel_, stop, [&](peer::SecureConnection& connection, const HeldFacts& facts) {
        return AskToSend(connection, facts, file, silence);
      });
  if (!fetched) return Fail(fetched);
  return {};
}

}  // namespace zerocloud::remote
