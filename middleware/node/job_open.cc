// JobRun::Open: the files behind a session's channels.
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <initializer_list>
#include <map>
#include <string_view>

#include "channels/channel_parse.h"
#include "middleware/node/job_run.h"
#include "middleware/node/nvram.h"

namespace zerocloud::node {
namespace {

using channels::AccessType;
using runtime::SessionChannel;

constexpr std::string_view kNvram = "/dev/nvram";

struct Stream {
  UniqueFd read;
  UniqueFd write;
};
using Streams = std::map<std::size_t, Stream>;  // by edge

Result<UniqueFd> Copy(const UniqueFd& file) {
  UniqueFd copy(::fcntl(file.get(), F_DUPFD_CLOEXEC, 0));
  if (!copy.is_open()) return FailErrno("cannot open the channels of a session");
  return copy;
}

Result<Stream> MakeStream(int flags) {
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) return FailErrno("cannot make a pipe");
  Stream stream{UniqueFd(ends[0]), UniqueFd(ends[1])};
  if (flags != 0 && ::fcntl(stream.read.get(), F_SETFL, flags) != 0) {
    return FailErrno("cannot make a pipe");
  }
  return stream;
}

// Builds the channels of one session.
class Opening {
 public:
  // With a description of a session that runs elsewhere, nothing is opened but the spool.
  Opening(JobRun& job, const plan::Unit& unit, std::size_t session, Streams& streams,
          bool is_elsewhere)
      : job_(job),
        unit_(unit),
        limits_(job.config.limits),
        session_(job.plan.sessions[session]),
        streams_(streams) {
    opened_.session = session;
    if (!is_elsewhere) return;
    elsewhere_ = &opened_.elsewhere.emplace();
    // What reads nothing of this machine's spool can run again without it, so that what it writes
    // may stay where it runs.
    const auto is_stream = [&](std::size_t edge) { return job_.plan.edges[edge].is_stream; };
    may_hold_ = std::ranges::none_of(session_.out, is_stream) &&
                std::ranges::all_of(session_.in, [&](std::size_t edge) {
                  return !is_stream(edge) &&
                         (job_.edges[edge].size == 0 || job_.edges[edge].held != nullptr);
                });
  }

  Result<OpenedSession> Run() {
    null_.Reset(::open("/dev/null", O_RDWR | O_CLOEXEC));
    if (!null_.is_open()) return FailErrno("cannot open /dev/null");
    for (const plan::Binding& binding : session_.bindings) {
      if (Result<void> done = OpenBinding(binding); !done) return Fail(done);
    }
    for (const std::size_t edge : session_.in) {
      if (Result<void> done = OpenIn(edge); !done) return Fail(done);
    }
    for (const std::size_t edge : session_.out) {
      if (Result<void> done = OpenOut(edge); !done) return Fail(done);
    }
    if (Result<void> done = OpenNvram(); !done) return Fail(done);
    runtime::SessionRequest& request = opened_.request;
    std::ranges::sort(request.channels, [](const SessionChannel& a, const SessionChannel& b) {
      return channels::HandleLess(a.spec.alias, b.spec.alias);
    });
    const job::Group& group = job_.plan.spec.groups[session_.group];
    request.image = job_.programs[session_.group];
    request.memory_size = group.memory_bytes;
    request.timeout = group.timeout;
    request.wants_own_namespaces = job_.config.wants_own_namespaces;
    request.control_groups = job_.config.control_groups;
    SetLimits(request);
    if (elsewhere_ != nullptr) Describe();
    return std::move(opened_);
  }

 private:
  void Describe() {
    ElsewhereSession& session = *elsewhere_;
    session.name = session_.name;
    session.caller = job_.CallerOf(session_.name);
    session.program = job_.program_files[session_.group];
    session.stderr_tail_bytes = limits_.stderr_tail_bytes;
    session.nvram_bytes = limits_.nvram_bytes;
    if (session_.about) session.inputs.at(local_alias_).is_local_object = true;
    if (session_.near) {
      const job::ObjectUrl& url = session_.bindings[*session_.near].object;
      session.attached = store::ObjectPath{url.account, url.container, url.object};
    }
    if (session_.company) session.company = job_.companies[*session_.company];
    session.request = std::move(opened_.request);
    opened_.request = {};
  }

  // Those that the session could reach: one thread has no more processor time than it has time, and
  // little more memory than it may address, and whoever needs not be watched is not.
  void SetLimits(runtime::SessionRequest& request) const {
    constexpr std::uint64_t kOfTheRuntime = std::uint64_t{16} << 20U;
    if (std::chrono::milliseconds(request.timeout).count() / 1000 >=
        static_cast<std::int64_t>(limits_.cpu_seconds)) {
      request.cpu_limit = std::chrono::seconds(limits_.cpu_seconds);
    }
    if (request.memory_size + kOfTheRuntime > limits_.resident_bytes) {
      request.memory_limit = limits_.resident_bytes;
    }
  }

  SessionChannel& Add(std::string alias, AccessType type, UniqueFd file) {
    SessionChannel& channel = opened_.request.channels.emplace_back();
    channel.spec.alias = std::move(alias);
    channel.spec.type = type;
    channel.file = std::move(file);
    return channel;
  }
  void LetRead(SessionChannel& channel) const {
    channel.spec.limits.gets = static_cast<std::int64_t>(limits_.channel_calls);
    channel.spec.limits.get_size = static_cast<std::int64_t>(limits_.channel_bytes);
  }
  // A limit on written bytes and what it is called in the answer that names it.
  struct Bound {
    std::uint64_t bytes = 0;
    std::string_view name;
  };
  // The lowest of them and of channel_bytes ends the writing.
  void LetWrite(SessionChannel& channel, std::initializer_list<Bound> others = {}) {
    Bound lowest{limits_.channel_bytes, "channel_bytes"};
    for (const Bound& other : others) {
      if (other.bytes < lowest.bytes) lowest = other;
    }
    channels::ChannelLimits& limits = channel.spec.limits;
    limits.puts = static_cast<std::int64_t>(limits_.channel_calls);
    // At least one byte, or the channel would not be writable at all.
    limits.put_size = static_cast<std::int64_t>(std::max<std::uint64_t>(1, lowest.bytes));
    opened_.files.bounds.push_back({channel.spec.alias, limits, lowest.name});
  }

  Result<void> OpenBinding(const plan::Binding& binding) {
    std::string alias = fmt::format("/dev/{}", job::ToString(binding.device));
    switch (binding.kind) {
      case plan::BindingKind::kObject:
        return OpenObject(binding, std::move(alias));
      case plan::BindingKind::kStored:
      case plan::BindingKind::kResponse:
        return AddOutput(std::move(alias), binding.device == job::DeviceName::kOutput, &binding,
                         {});
      case plan::BindingKind::kNull:
        break;
    }
    if (binding.device == job::DeviceName::kStderr && elsewhere_ != nullptr) {
      SessionChannel& channel = Add(alias, AccessType::kSequentialBoth, UniqueFd());
      channel.is_stream = true;
      LetWrite(channel);
      elsewhere_->stderr_alias = std::move(alias);
      return {};
    }
    if (binding.device == job::DeviceName::kStderr) {
      Result<Stream> pipe = MakeStream(O_NONBLOCK);
      if (!pipe) return Fail(pipe);
      opened_.files.stderr_pipe = std::move(pipe->read);
      SessionChannel& channel =
          Add(std::move(alias), AccessType::kSequentialBoth, std::move(pipe->write));
      channel.is_stream = true;
      LetWrite(channel);
      return {};
    }
    return AddNull(std::move(alias), job::IsReadable(binding.device));
  }

  Result<void> AddNull(std::string alias, bool is_readable) {
    Result<UniqueFd> file = elsewhere_ != nullptr ? UniqueFd() : Copy(null_);
    if (!file) return Fail(file);
    SessionChannel& channel = Add(std::move(alias), AccessType::kSequentialBoth, std::move(*file));
    channel.is_stream = true;
    if (is_readable) {
      LetRead(channel);
    } else {
      LetWrite(channel);
    }
    return {};
  }

  Result<void> OpenObject(const plan::Binding& binding, std::string alias) {
    const job::ObjectUrl& url = binding.object;
    const auto fail = [&](const Error& error) {
      return Fail(error.code,
                  fmt::format("{}: cannot read {} for session {}: {}", binding.declared->pointer,
                              url.ToString(), session_.name, error.message));
    };
    const store::ObjectPath path{url.account, url.container, url.object};
    const auto listed = job_.listed.find(path);
    const bool is_input = binding.device == job::DeviceName::kInput;
    const bool is_mapped = binding.declared->is_mapped;
    const bool is_local_object = session_.about && &session_.bindings[*session_.about] == &binding;
    if (is_local_object) local_alias_ = alias;
    if (elsewhere_ != nullptr) {
      elsewhere_->inputs[alias] = {
          .path = path,
          .listed = listed != job_.listed.end() ? std::optional(listed->second) : std::nullopt,
          .is_random = is_input && !is_mapped};
      SessionChannel& channel =
          Add(std::move(alias), is_input ? AccessType::kRandomBoth : AccessType::kSequentialBoth,
              UniqueFd());
      channel.is_mapped = is_mapped;
      opened_.files.has_mapped = opened_.files.has_mapped || is_mapped;
      LetRead(channel);
      return {};
    }
    SessionFiles& files = opened_.files;
    FetchedBytes& fetched = *files.fetched.emplace_back(std::make_unique<FetchedBytes>(job_.spool));
    const auto check = [this](std::uint64_t bytes) -> Result<void> {
      if (bytes <= limits_.channel_bytes) return job_.CheckWanted();
      return job::OverLimit("its bytes:", "channel_bytes", limits_.channel_bytes, bytes);
    };
    const auto may_fetch = [&](std::uint64_t bytes) -> Result<void> {
      if (Result<void> fits = check(bytes); !fits) return fits;
      return fetched.CountTo(bytes);
    };
    Result<store::OpenedObject> object =
        job_.store.OpenInput(job_.CallerOf(session_.name), path,
                             {.listed = listed != job_.listed.end() ? &listed->second : nullptr,
                              .is_random = is_input && !is_mapped,
                              .may_fetch = may_fetch});
    if (!object) return fail(object.error());
    if (Result<void> fits = check(object->info.size); !fits) return fail(fits.error());
    files.has_objects = true;
    files.is_local = files.is_local && object->is_in_place;
    if (files.why_not_local.empty()) files.why_not_local = object->why_not;
    SessionChannel& channel =
        Add(std::move(alias), is_input ? AccessType::kRandomBoth : AccessType::kSequentialBoth,
            std::move(object->file));
    channel.size = object->info.size;
    channel.is_immutable = object->is_immutable;
    channel.is_mapped = is_mapped;
    files.has_mapped = files.has_mapped || is_mapped;
    channel.is_asked = object->late_failure != nullptr;
    if (channel.is_asked) files.late_failures.push_back(std::move(object->late_failure));
    LetRead(channel);
    if (is_local_object) local_ = LocalObject{local_alias_, path, std::move(object->info)};
    return {};
  }

  Result<void> AddOutput(std::string alias, bool is_random, const plan::Binding* binding,
                         std::optional<std::size_t> edge) {
    const bool is_response = binding != nullptr && binding->kind == plan::BindingKind::kResponse;
    UniqueFd theirs;
    UniqueFd ours;
    if (may_hold_ && !is_response) {
      elsewhere_->held_outputs.insert(alias);
    } else {
      Result<UniqueFd> file = job_.spool->NewFile();
      if (!file) return Fail(file);
      Result<UniqueFd> copy = Copy(*file);
      if (!copy) return Fail(copy);
      theirs = std::move(*file);
      ours = std::move(*copy);
    }
    SessionChannel& channel =
        Add(alias, is_random ? AccessType::kRandomBoth : AccessType::kSequentialBoth,
            std::move(theirs));
    const Bound spool{job_.spool->left(), "what was left of job_spool_bytes"};
    const Bound response{is_response ? limits_.response_bytes : spool.bytes, "response_bytes"};
    LetWrite(channel, {spool, response});
    opened_.files.outputs.push_back({std::move(alias), std::move(ours), edge, binding});
    return {};
  }

  Result<void> OpenIn(std::size_t edge) {
    std::string alias =
        fmt::format("/dev/in/{}", job_.plan.sessions[job_.plan.edges[edge].from].name);
    if (!job_.plan.edges[edge].is_stream) {
      const Piece& piece = job_.edges[edge];
      if (piece.size == 0) return AddNull(std::move(alias), true);
      const bool stays = elsewhere_ != nullptr && piece.held != nullptr;
      if (stays) elsewhere_->held_inputs[alias] = piece.held;
      Result<UniqueFd> file = stays ? UniqueFd() : job_.spool->AsFile(piece, job_.stop.get_token());
      if (!file) return Fail(file);
      SessionChannel& channel =
          Add(std::move(alias), AccessType::kSequentialBoth, std::move(*file));
      channel.size = piece.size;
      LetRead(channel);
      return {};
    }
    UniqueFd theirs;
    if (elsewhere_ != nullptr) {
      elsewhere_->streams[alias] = {edge, PlaceInGang(job_.plan.edges[edge].from)};
    } else {
      Result<UniqueFd> ours = Copy(streams_.at(edge).read);
      if (!ours) return Fail(ours);
      opened_.files.drains.push_back(std::move(*ours));
      theirs = std::move(streams_.at(edge).read);
    }
    SessionChannel& channel = Add(std::move(alias), AccessType::kSequentialBoth, std::move(theirs));
    channel.is_stream = true;
    LetRead(channel);
    return {};
  }

  [[nodiscard]] std::size_t PlaceInGang(std::size_t session) const {
    return static_cast<std::size_t>(std::ranges::find(unit_.sessions, session) -
                                    unit_.sessions.begin());
  }

  Result<void> OpenOut(std::size_t edge) {
    std::string alias =
        fmt::format("/dev/out/{}", job_.plan.sessions[job_.plan.edges[edge].to].name);
    if (!job_.plan.edges[edge].is_stream) return AddOutput(std::move(alias), false, nullptr, edge);
    UniqueFd theirs;
    if (elsewhere_ != nullptr) {
      elsewhere_->streams[alias] = {edge, PlaceInGang(job_.plan.edges[edge].to)};
    } else {
      theirs = std::move(streams_.at(edge).write);
    }
    SessionChannel& channel = Add(std::move(alias), AccessType::kSequentialBoth, std::move(theirs));
    channel.is_stream = true;
    LetWrite(channel);
    return {};
  }

  Result<void> OpenNvram() {
    std::string text = WriteNvram(job_.plan, session_, !local_alias_.empty());
    if (local_) text += LocalNvram(*local_);
    if (text.size() > limits_.nvram_bytes) {
      const std::string& pointer = job_.plan.spec.groups[session_.group].pointer;
      return job::OverLimit(fmt::format("{}: bytes of arguments and environment:", pointer),
                            "nvram_bytes", limits_.nvram_bytes, text.size());
    }
    UniqueFd file(::memfd_create("nvram", MFD_CLOEXEC));
    if (!file.is_open()) return FailErrno("cannot make /dev/nvram");
    // A memory file takes all of a small write or nothing.
    if (::pwrite(file.get(), text.data(), text.size(), 0) != static_cast<ssize_t>(text.size())) {
      return FailErrno("cannot write /dev/nvram");
    }
    SessionChannel& channel = Add(std::string(kNvram), AccessType::kRandomBoth, std::move(file));
    channel.size = text.size();
    LetRead(channel);
    return {};
  }

  JobRun& job_;
  const plan::Unit& unit_;
  const job::JobLimits& limits_;
  const plan::Session& session_;
  Streams& streams_;
  UniqueFd null_;
  std::string local_alias_;  // of the input that the session is about
  std::optional<LocalObject> local_;
  OpenedSession opened_;
  ElsewhereSession* elsewhere_ = nullptr;  // part of opened_
  bool may_hold_ = false;                  // what it writes may stay where it is written
};

}  // namespace

Result<std::vector<OpenedSession>> JobRun::Open(const plan::Unit& unit, bool is_elsewhere) {
  Streams streams;
  for (const std::size_t session : unit.sessions) {
    for (const std::size_t edge : plan.sessions[session].out) {
      if (!plan.edges[edge].is_stream || is_elsewhere) continue;
      Result<Stream> stream = MakeStream(0);
      if (!stream) return Fail(stream);
      streams.emplace(edge, std::move(*stream));
    }
  }
  std::vector<OpenedSession> sessions;
  for (const std::size_t session : unit.sessions) {
    if (Result<void> wanted = CheckWanted(); !wanted) return Fail(wanted);
    Result<OpenedSession> opened = Opening(*this, unit, session, streams, is_elsewhere).Run();
    if (!opened) return Fail(opened);
    sessions.push_back(std::move(*opened));
  }
  return sessions;
}

}  // namespace zerocloud::node
