#include "middleware/remote/node_session.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <future>
#include <optional>
#include <system_error>
#include <vector>

#include "middleware/node/nvram.h"
#include "middleware/node/stderr_tail.h"
#include "middleware/remote/conversation.h"
#include "middleware/remote/held_inputs.h"
#include "middleware/remote/hold_transfer.h"
#include "middleware/remote/session_streams.h"
#include "middleware/remote/spool_share.h"

namespace zerocloud::remote {
namespace {

using std::chrono::milliseconds;
using std::chrono::steady_clock;

constexpr std::string_view kNvram = "/dev/nvram";
constexpr milliseconds kPatrolInterval{50};

// Whether another node might do better.
bool IsNodesFault(ErrorCode code) {
  return code == ErrorCode::kUnavailable || code == ErrorCode::kInternal ||
         code == ErrorCode::kTimeout;
}

Result<UniqueFd> Copy(const UniqueFd& file) {
  UniqueFd copy(::fcntl(file.get(), F_DUPFD_CLOEXEC, 0));
  if (!copy.is_open()) return FailErrno("cannot open the channels of a session");
  return copy;
}

class NodeSession {
 public:
  NodeSession(NodeParts& parts, peer::SecureConnection& connection, std::string proxy, Offer offer)
      : parts_(parts),
        talk_(connection, parts.options.patience),
        proxy_(std::move(proxy)),
        offer_(std::move(offer)),
        spool_(*parts.spool, parts.holds, parts.spooled),
        held_(parts, proxy_),
        streams_(parts.streams, parts.keys, parts.options.patience, proxy_) {}
  ~NodeSession() {
    parts_.holds.Drop(proxy_, unconfirmed_);
    if (is_queued_) parts_.slots.LeaveQueue();
    if (is_inside_) parts_.slots.Leave();
  }
  NodeSession(const NodeSession&) = delete;
  NodeSession& operator=(const NodeSession&) = delete;

  Result<void> Run() {
    if (std::optional<Failure> refused = Refuse()) {
      parts_.options.log(
          fmt::format("refused session {}: {}", offer_.session, refused->error.message));
      return talk_.Tell(*refused);
    }
    if (Result<void> entered = TakeSlot(); !entered) return entered;
    if (failure_) return talk_.Tell(*failure_);
    std::optional<node::Program> known = parts_.images.Find(offer_.sha256);
    const Accepted accepted{.needs_program = !known};
    Result<void> sent = talk_.Send(peer::FrameKind::kAccepted, Encode(accepted));
    if (!sent) return sent;
    if (known) program_ = std::move(*known);
    if (Result<void> taken = TakeBytes(accepted.needs_program); !taken) return taken;
    if (failure_) return talk_.Tell(*failure_);

    if (Result<void> here = DoMeanwhile([this] { Open(); }); !here) return here;
    if (failure_) return talk_.Tell(*failure_);
    if (offer_.is_of_gang) {
      if (Result<void> gone = AwaitGo(); !gone) return gone;
      if (failure_) return talk_.Tell(*failure_);
    }
    if (Result<void> ended = Watch(); !ended) return ended;
    if (failure_) return talk_.Tell(*failure_);
    return Report();
  }

 private:
  // Whether it is beyond what this node's operator allows.
  [[nodiscard]] std::optional<Failure> Refuse() const {
    const job::JobLimits& limits = parts_.options.limits;
    const auto over = [](std::string_view name, std::uint64_t limit, std::uint64_t asked) {
      return Failure{{ErrorCode::kUnavailable,
                      fmt::format("its own limit jobs.{} is {}, and {} were asked for: it is "
                                  "configured otherwise than the proxy",
                                  name, limit, asked)},
                     {}};
    };
    if (offer_.program_size > limits.program_bytes) {
      return over("program_bytes", limits.program_bytes, offer_.program_size);
    }
    if (offer_.memory_size > limits.memory_bytes) {
      return over("memory_bytes", limits.memory_bytes, offer_.memory_size);
    }
    const auto seconds = static_cast<std::uint64_t>(offer_.timeout.count() / 1000);
    if (seconds > limits.timeout_seconds) {
      return over("timeout_seconds", limits.timeout_seconds, seconds);
    }
    return std::nullopt;
  }

  // One of a gang gets a slot at once or not at all: if each waited for the last one of its gang,
  // two gangs could wait for each other.
  Result<void> TakeSlot() {
    if (offer_.is_of_gang) {
      is_inside_ = parts_.slots.EnterNow();
      if (is_inside_) return {};
      failure_ = Failure{{ErrorCode::kUnavailable,
                          fmt::format("none of its {} slots is free", parts_.slots.slots())},
                         {},
                         {},
                         true};
      return {};
    }
    is_queued_ = parts_.slots.Queue();
    if (!is_queued_) {
      FailWith(
          {ErrorCode::kUnavailable,
           fmt::format("all {} slots are taken and enough sessions wait", parts_.slots.slots())});
      return {};
    }
    while (!is_inside_) {
      is_inside_ = parts_.slots.Enter(talk_.heartbeat() / 8);
      is_queued_ = !is_inside_;
      if (Result<void> here = talk_.StayInTouch(); !here) return here;
    }
    return {};
  }

  // What blocks is done by somebody else, so that the proxy hears of us meanwhile.
  template <typename Task>
  Result<void> DoMeanwhile(Task task) {
    std::future<void> doing;
    try {
      doing = std::async(std::launch::async, task);
    } catch (const std::system_error& error) {
      FailWith({ErrorCode::kUnavailable,
                fmt::format("there is no thread for a session: {}", error.what())});
      return {};
    }
    Result<void> here;
    while (doing.wait_for(talk_.heartbeat() / 8) != std::future_status::ready) {
      if (!here) continue;
      here = talk_.StayInTouch();
      if (here) continue;
      is_given_up_ = true;  // before what is under way fails
      held_.Abort();
      streams_.Abort();
    }
    doing.get();
    return here;
  }

  // Until all of the gang are as far; then its streams to others are opened.
  Result<void> AwaitGo() {
    if (Result<void> sent = talk_.Send(peer::FrameKind::kReady, {}); !sent) return sent;
    if (Result<void> gone = talk_.Await(peer::FrameKind::kGo, parts_.options.opening); !gone)
      return gone;
    return DoMeanwhile([this] {
      Result<void> connected = streams_.ConnectWriters(offer_, request_);
      if (!connected) FailWith(connected.error());
    });
  }

  void FailWith(Error error, std::string alias = {}) {
    if (!failure_) failure_ = Failure{std::move(error), std::move(alias)};
  }

  // What was offered of that channel, into a file in the spool.
  Result<UniqueFd> Take(std::uint32_t channel, std::uint64_t size) {
    Result<UniqueFd> file = NewFile(size);
    if (!file) FailWith(file.error());
    std::optional<Error> disk;
    Result<void> taken = talk_.TakeStream(channel, size, file ? file->get() : -1, disk);
    if (disk) FailWith(std::move(*disk));
    if (!taken) return Fail(taken);
    return file ? std::move(*file) : UniqueFd();
  }

  // The program, if it is not known, and everything else that comes from the proxy.
  Result<void> TakeBytes(bool takes_program) {
    if (takes_program) {
      Result<UniqueFd> file = Take(kProgramChannel, offer_.program_size);
      if (!file) return Fail(file);
      program_file_ = std::move(*file);
    }
    files_.resize(offer_.channels.size());
    for (std::size_t i = 0; i < offer_.channels.size(); ++i) {
      const OfferedChannel& channel = offer_.channels[i];
      if (channel.source != Source::kBytes) continue;
      Result<UniqueFd> file = Take(static_cast<std::uint32_t>(i), channel.size);
      if (!file) return Fail(file);
      files_[i] = std::move(*file);
    }
    return {};
  }

  // A file in the spool for so many bytes. After a failure none: what comes is read past.
  Result<UniqueFd> NewFile(std::uint64_t size) {
    if (failure_) return Fail(failure_->error.code, failure_->error.message);
    if (!spool_.Reserve(size)) {
      const Error full = parts_.spool->Full();
      return Fail(full.code, full.message);
    }
    return parts_.spool->NewFile();
  }

  void Open() {
    if (program_file_.is_open()) {
      Result<node::Program> loaded = parts_.images.Load(program_file_.get(), offer_.program_size);
      if (!loaded) return FailWith(loaded.error());
      if (loaded->sha256 != offer_.sha256) {
        return FailWith({ErrorCode::kInvalid, "the program is another than was offered"});
      }
      program_ = std::move(*loaded);
      program_file_.Reset();
    }
    request_.image = program_.image;
    request_.memory_size = offer_.memory_size;
    request_.timeout = offer_.timeout;
    request_.cpu_limit = offer_.cpu_limit;
    request_.memory_limit = offer_.memory_limit;
    request_.wants_own_namespaces = parts_.options.wants_own_namespaces;
    request_.control_groups = parts_.options.control_groups;
    for (std::size_t i = 0; i < offer_.channels.size() && !failure_ && !is_given_up_; ++i) {
      Result<void> opened = OpenChannel(offer_.channels[i], std::move(files_[i]));
      if (!opened) FailWith(opened.error(), blamed_);
    }
    if (!failure_) TellOfLost();
    if (!failure_) WriteNvram();
  }

  // Other nodes may have sent something else, or nothing.
  void TellOfLost() {
    failure_ = held_.failure();
    if (!failure_) return;
    parts_.options.log(fmt::format("session {} misses what nodes held for it: {}", offer_.session,
                                   failure_->error.message));
  }

  Result<void> OpenChannel(const OfferedChannel& offered, UniqueFd bytes) {
    runtime::SessionChannel& channel = request_.channels.emplace_back();
    channel.spec.alias = offered.alias;
    channel.spec.type = offered.type;
    channel.spec.limits = offered.limits;
    switch (offered.source) {
      case Source::kNothing:
        channel.is_stream = true;
        channel.file.Reset(::open("/dev/null", O_RDWR | O_CLOEXEC));
        if (!channel.file.is_open()) return FailErrno("cannot open /dev/null");
        return {};
      case Source::kBytes:
        channel.file = std::move(bytes);
        channel.size = offered.size;
        return {};
      case Source::kObject:
        return OpenObject(offered, channel);
      case Source::kStderr: {
        int ends[2];
        if (::pipe2(ends, O_CLOEXEC) != 0) return FailErrno("cannot make a pipe");
        stderr_.Reset(ends[0]);
        channel.file.Reset(ends[1]);
        channel.is_stream = true;
        if (::fcntl(stderr_.get(), F_SETFL, O_NONBLOCK) != 0)
          return FailErrno("cannot make a pipe");
        return {};
      }
      case Source::kHeld: {
        Result<UniqueFd> file = held_.Open(offered, [&] { return NewFile(offered.size); });
        if (!file) return Fail(file);
        channel.file = std::move(*file);
        channel.size = offered.size;
        return {};
      }
      case Source::kRead: {
        Result<UniqueFd> end = streams_.OpenReader(offered);
        if (!end) return Fail(end);
        channel.file = std::move(*end);
        channel.is_stream = true;
        return {};
      }
      case Source::kWrite:  // once its reader is there
        channel.is_stream = true;
        return {};
      case Source::kOutput:
      case Source::kHold: {
        Result<UniqueFd> file = NewFile(0);
        if (!file) return Fail(file);
        Result<UniqueFd> ours = Copy(*file);
        if (!ours) return Fail(ours);
        channel.file = std::move(*file);
        outputs_.push_back({static_cast<std::uint32_t>(request_.channels.size() - 1), offered.alias,
                            std::move(*ours), offered.hold});
        return {};
      }
    }
    return {};
  }

  Result<void> OpenObject(const OfferedChannel& offered, runtime::SessionChannel& channel) {
    blamed_ = offered.alias;
    std::optional<store::ListedObject> listed;
    if (offered.listed) {
      listed = store::ListedObject{.name = offered.path.object,
                                   .info = *offered.listed,
                                   .listed = steady_clock::now() - offered.listed_ago};
    }
    Result<store::OpenedObject> object = parts_.store.OpenInput(
        offer_.caller, offered.path,
        {.listed = listed ? &*listed : nullptr, .is_random = offered.is_random});
    const std::string url = "swift:/" + offered.path.ToString();
    if (!object) {
      return Fail(object.error().code, fmt::format("cannot read {} for session {}: {}", url,
                                                   offer_.session, object.error().message));
    }
    end_.has_objects = true;
    end_.is_local = end_.is_local && object->is_in_place;
    if (end_.why_not_local.empty()) end_.why_not_local = object->why_not;
    const auto limit = static_cast<std::uint64_t>(offered.limits.get_size);
    if (object->info.size > limit) {
      return job::OverLimit(fmt::format("bytes of {}:", url), "channel_bytes", limit,
                            object->info.size);
    }
    channel.file = std::move(object->file);
    channel.size = object->info.size;
    channel.is_immutable = object->is_immutable;
    channel.is_mapped = offered.is_mapped;
    channel.is_asked = object->late_failure != nullptr;
    if (channel.is_asked) {
      late_failures_.push_back({offered.alias, std::move(object->late_failure)});
    }
    if (offered.is_local_object) {
      local_ = node::LocalObject{offered.alias, offered.path, std::move(object->info)};
    }
    blamed_.clear();
    return {};
  }

  // Adds what only who opened the object can tell.
  void WriteNvram() {
    if (!local_) return;
    const auto channel = std::ranges::find(request_.channels, kNvram, [](const auto& each) {
      return std::string_view(each.spec.alias);
    });
    if (channel == request_.channels.end()) return;
    const std::string lines = node::LocalNvram(*local_);
    const std::uint64_t size = channel->size + lines.size();
    if (size > offer_.nvram_bytes) {
      const Error over =
          job::OverLimit(
              fmt::format("bytes of arguments and environment of session {}:", offer_.session),
              "nvram_bytes", offer_.nvram_bytes, size)
              .error();
      return FailWith(over, local_->alias);
    }
    const ssize_t put = ::pwrite(channel->file.get(), lines.data(), lines.size(),
                                 static_cast<off_t>(channel->size));
    if (put != static_cast<ssize_t>(lines.size())) {
      return FailWith(ErrnoError("cannot write /dev/nvram", put < 0 ? errno : ENOSPC));
    }
    channel->size = size;
  }

  // Starts the session and waits for its end.
  Result<void> Watch() {
    const std::uint64_t stderr_limit = offer_.stderr_tail_bytes;
    Result<std::unique_ptr<node::RunningSession>> started =
        parts_.runner.Start(std::move(request_));
    if (!started) {
      FailWith({started.error().code, "the session could not start: " + started.error().message});
      return {};
    }
    node::RunningSession& session = **started;
    if (Result<void> sent = talk_.Send(peer::FrameKind::kStarted, {}); !sent) return sent;
    bool is_killed = false;
    while (true) {
      std::array<pollfd, 4> waiting = {pollfd{session.pidfd(), POLLIN, 0},
                                       pollfd{talk_.fd(), POLLIN, 0},
                                       pollfd{stderr_.is_open() ? stderr_.get() : -1, POLLIN, 0},
                                       pollfd{streams_.fd(), POLLIN, 0}};
      const milliseconds wait =
          outputs_.empty() ? talk_.heartbeat() : std::min(talk_.heartbeat(), kPatrolInterval);
      const auto left = std::chrono::ceil<milliseconds>(session.deadline() - steady_clock::now());
      const int ready = ::poll(waiting.data(), waiting.size(),
                               static_cast<int>(std::clamp<std::int64_t>(
                                   left.count(), is_killed ? 1 : 0, wait.count())));
      if (ready < 0 && errno != EINTR) return FailErrno("cannot wait for a session");
      ReadStderr(stderr_limit);
      if (ready > 0 && waiting[0].revents != 0) break;
      if (!is_killed && steady_clock::now() >= session.deadline()) {
        session.Kill(runtime::Cause::kTimedOut);
        is_killed = true;
      }
      if (!is_killed && IsSpoolFull()) {
        FailWith(parts_.spool->Full());
        session.Kill(runtime::Cause::kKilled);
        is_killed = true;
      }
      if (!is_killed && HasBrokenStream()) {
        session.Kill(runtime::Cause::kKilled);
        is_killed = true;
      }
      // Gone or silent: the session is destroyed with all it has.
      if (Result<void> here = talk_.StayInTouch(); !here) return here;
    }
    end_.report = session.Collect();
    ReadStderr(stderr_limit);
    if (stderr_tail_.size() > stderr_limit)
      stderr_tail_.erase(0, stderr_tail_.size() - stderr_limit);
    Judge();
    started->reset();  // with its ends of streams
    return FinishStreams();
  }

  bool HasBrokenStream() {
    streams_.Clear();
    std::optional<Error> broken = streams_.error();
    if (broken) FailWith({ErrorCode::kUnavailable, broken->message});
    return broken.has_value();
  }

  // Until what the session wrote has arrived, if it has ended well.
  Result<void> FinishStreams() {
    streams_.ForgetReaders();  // or who writes to it could not end
    const runtime::SessionReport& report = end_.report;
    if (report.cause != runtime::Cause::kExited || report.exit_code != 0) return {};
    streams_.EndWriters();
    // What it does not read any more is not its matter once all is done.
    while (!failure_ && !streams_.is_done() && !HasBrokenStream()) {
      std::array<pollfd, 2> waiting = {pollfd{talk_.fd(), POLLIN, 0},
                                       pollfd{streams_.fd(), POLLIN, 0}};
      ::poll(waiting.data(), waiting.size(), static_cast<int>(talk_.heartbeat().count()));
      if (Result<void> here = talk_.StayInTouch(); !here) return here;
    }
    return {};
  }

  void ReadStderr(std::uint64_t limit) {
    if (!stderr_.is_open()) return;
    const bool is_open = node::ReadAvailable(
        stderr_.get(), [&](std::string_view text) { node::KeepTail(stderr_tail_, text, limit); });
    if (!is_open) stderr_.Reset();
  }

  // Counts what this session has written by now.
  bool IsSpoolFull() {
    std::uint64_t bytes = 0;
    for (const Output& output : outputs_) {
      struct stat facts{};
      if (::fstat(output.file.get(), &facts) != 0) continue;
      bytes +=
          static_cast<std::uint64_t>(std::min<std::int64_t>(facts.st_size, facts.st_blocks * 512));
    }
    spool_.SetWritten(bytes);
    return spool_.IsFull();
  }

  // Ends that are not the program's doing are failures: of this node, or of an input.
  void Judge() {
    const runtime::SessionReport& report = end_.report;
    if (report.cause == runtime::Cause::kHostError) {
      FailWith({ErrorCode::kUnavailable, "the session could not be set up: " + report.message});
    }
    if (report.cause != runtime::Cause::kChannelIo) return;
    for (const AskedObject& object : late_failures_) {
      std::optional<Error> late = object.failure->Get();
      if (!late) continue;
      late->message = fmt::format("session {}: {}", offer_.session, late->message);
      return FailWith(std::move(*late), object.alias);
    }
    const Error disk = ErrnoError("its disk", report.host_errno);
    if (IsNodesFault(disk.code)) {
      FailWith({ErrorCode::kUnavailable, fmt::format("{}: {}", report.message, disk.message)});
    }
  }

  Result<void> Report() {
    const runtime::SessionReport& report = end_.report;
    const bool has_succeeded = report.cause == runtime::Cause::kExited && report.exit_code == 0;
    end_.digests.resize(report.channels.size());
    for (Output& output : outputs_) {
      std::uint64_t size = 0;
      for (const runtime::ChannelUsage& usage : report.channels) {
        if (usage.alias == output.alias) size = usage.size;
      }
      if (output.alias == "/dev/stderr") {
        stderr_tail_ = node::ReadTail(output.file.get(), size, offer_.stderr_tail_bytes);
      }
      if (!has_succeeded) continue;
      Result<void> given = Give(output, size);
      if (!given) return given;
      if (failure_) return talk_.Tell(*failure_);
    }
    parts_.slots.Leave();
    is_inside_ = false;
    end_.stderr_tail = std::move(stderr_tail_);
    Result<void> sent = talk_.Send(peer::FrameKind::kReport, Encode(end_));
    if (!sent || unconfirmed_.empty()) return sent;
    if (Result<void> kept = talk_.Await(peer::FrameKind::kKeep, parts_.options.opening); !kept)
      return kept;
    unconfirmed_.clear();  // else they might be forgotten by both
    return {};
  }

  struct AskedObject {
    std::string alias;
    std::shared_ptr<store::LateFailure> failure;
  };
  struct Output {
    std::uint32_t channel = 0;
    std::string alias;
    UniqueFd file;
    std::string hold;  // the id under which it is held; empty: it is sent
  };

  Result<void> Give(Output& output, std::uint64_t size) {
    // Of a file with a hole at its end all is there.
    if (::ftruncate(output.file.get(), static_cast<off_t>(size)) != 0) {
      FailWith(ErrnoError("cannot keep what the session wrote", errno));
      return {};
    }
    return output.hold.empty() ? Send(output, size) : Keep(output, size);
  }

  // Reads what the session wrote to say what it is, and leaves it to the holds.
  Result<void> Keep(Output& output, std::uint64_t size) {
    const auto stay = [this] { return talk_.StayInTouch(); };
    Result<std::string> digest = DigestOf(output.file.get(), size, stay);
    if (!digest) {
      // Either the disk's fault or the connection's, which then shows again.
      FailWith(digest.error());
      return talk_.StayInTouch();
    }
    // From now on it is counted with the holds, and not twice: others would be ended for it.
    UniqueFd file = std::move(output.file);
    IsSpoolFull();
    Result<void> held = parts_.holds.Add(proxy_, output.hold, std::move(file), size);
    if (!held) {
      FailWith(held.error());
      return {};
    }
    unconfirmed_.push_back(output.hold);
    if (IsSpoolFull()) FailWith(parts_.spool->Full());  // it wrote the last of it unobserved
    end_.digests[output.channel] = std::move(*digest);
    return {};
  }

  Result<void> Send(const Output& output, std::uint64_t size) {
    std::optional<Error> disk;
    Result<void> sent = talk_.SendFile(output.channel, output.file.get(), size, disk);
    if (disk) FailWith(std::move(*disk));
    return sent;
  }

  NodeParts& parts_;
  Conversation talk_;
  const std::string proxy_;
  const Offer offer_;
  SpoolShare spool_;
  HeldInputs held_;
  std::atomic<bool> is_given_up_ = false;  // nobody waits for what is being done
  bool is_queued_ = false;
  bool is_inside_ = false;
  std::optional<Failure> failure_;  // the first
  std::string blamed_;              // the input that is being opened
  node::Program program_;
  UniqueFd program_file_;
  std::vector<UniqueFd> files_;  // of each channel, kBytes
  runtime::SessionRequest request_;
  std::optional<node::LocalObject> local_;
  std::vector<AskedObject> late_failures_;
  std::vector<Output> outputs_;
  std::vector<std::string> unconfirmed_;  // holds that the proxy does not count on yet
  UniqueFd stderr_;
  std::string stderr_tail_;
  SessionStreams streams_;
  EndReport end_;
};

}  // namespace

Result<void> ServeSession(NodeParts& parts, peer::SecureConnection& connection,
                          const std::string& proxy, Offer offer) {
  return NodeSession(parts, connection, proxy, std::move(offer)).Run();
}

}  // namespace zerocloud::remote
