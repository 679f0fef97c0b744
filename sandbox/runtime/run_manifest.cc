#include "sandbox/runtime/run_manifest.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "channels/base/unique_fd.h"
#include "channels/open_channel.h"
#include "sandbox/runtime/prepare_run.h"
#include "sandbox/runtime/snapshot.h"

namespace zerocloud::runtime {
namespace {

using channels::CheckedChannel;
using channels::HostError;
using channels::HostResult;
using channels::HostStatus;
using channels::OpenedChannel;
using std::chrono::steady_clock;

auto FailErrnoAs(HostStatus status, const std::string& what, int host_errno) {
  return std::unexpected(HostError{status, ErrnoError(what, host_errno)});
}

// Channels may be more than the usual number of descriptors.
void RaiseDescriptorLimit() {
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
  limit.rlim_cur = limit.rlim_max;
  ::setrlimit(RLIMIT_NOFILE, &limit);  // a failure shows when a file cannot be opened
}

// The regular files that a session writes, once more: to cut them when the session no longer has
// them. A transfer that was interrupted, or an extension, leaves bytes that nobody counted.
class WrittenFiles {
 public:
  static HostResult<WrittenFiles> Keep(const std::vector<channels::ChannelSpec>& specs,
                                       const std::vector<OpenedChannel>& opened) {
    WrittenFiles kept;
    for (std::size_t i = 0; i < opened.size(); ++i) {
      kept.sizes_.push_back(opened[i].size);
      kept.aliases_.push_back(specs[i].alias);
      for (const channels::OpenedSource& source : opened[i].sources) {
        if (!specs[i].is_writable() || source.is_stream) continue;
        UniqueFd file(::fcntl(source.file.get(), F_DUPFD_CLOEXEC, 0));
        if (!file.is_open()) {
          return FailErrnoAs(HostStatus::kUnavailable, "cannot keep " + specs[i].alias + " open",
                             errno);
        }
        kept.files_.push_back({i, std::move(file)});
      }
    }
    return kept;
  }

  // `usages` may be empty: then nothing was written. The first failure is told.
  [[nodiscard]] HostResult<void> Cut(const std::vector<ChannelUsage>& usages) const {
    HostResult<void> result;
    for (const File& file : files_) {
      struct stat status{};
      const std::uint64_t size =
          file.channel < usages.size() ? usages[file.channel].size : sizes_[file.channel];
      const bool is_known = ::fstat(file.file.get(), &status) == 0;
      if (is_known && std::cmp_less_equal(status.st_size, size)) continue;
      if ((!is_known || ::ftruncate(file.file.get(), static_cast<off_t>(size)) != 0) && result) {
        result = FailErrnoAs(HostStatus::kIo,
                             fmt::format("cannot cut {} to {} bytes", aliases_[file.channel], size),
                             errno);
      }
    }
    return result;
  }

 private:
  struct File {
    std::size_t channel;
    UniqueFd file;
  };
  std::vector<File> files_;
  std::vector<std::uint64_t> sizes_;  // of the channels, before the session
  std::vector<std::string> aliases_;
};

HostStatus StartStatus(ErrorCode code) {
  switch (code) {
    case ErrorCode::kUnavailable:
      return HostStatus::kUnavailable;
    case ErrorCode::kInvalid:
      return HostStatus::kMemory;
    default:
      return HostStatus::kIo;
  }
}

// One run. `report.cause` is always that of the step that is under way, so that it is right
// whenever one fails.
class Run {
 public:
  Run(const RunOptions& options, RunReport& report) : options_(options), report_(report) {}

  HostResult<void> Prepare(const std::string& manifest_path);
  // Instead of Prepare(): from a snapshot.
  HostResult<void> PrepareFork(std::string_view text, std::shared_ptr<const Snapshot> snapshot);
  HostResult<void> RunSession();
  void Mark(std::string stage) {
    report_.stages.push_back({std::move(stage), steady_clock::now() - started_});
  }

 private:
  HostResult<void> Parse(std::string_view text);
  HostResult<void> CheckChannels();
  HostResult<void> OpenLinks();
  HostResult<void> BeginJob();
  HostResult<void> MeetPeers();  // waits for the other sides of FIFOs and network channels
  SessionRequest MakeRequest();
  HostResult<void> StartSession(std::unique_ptr<Session>& session);
  void Conclude(const SessionReport& session);
  void ConcludeLink(const SessionReport& session, const network::LinkReport& link);

  const RunOptions& options_;
  RunReport& report_;
  steady_clock::time_point started_ = steady_clock::now();
  Manifest manifest_;
  std::shared_ptr<const loader::Image> image_;
  std::shared_ptr<const Snapshot> snapshot_;
  bool wants_snapshot_ = false;
  std::vector<CheckedChannel> checked_;
  std::vector<OpenedChannel> opened_;
  std::unique_ptr<network::Links> links_;
  std::vector<network::LinkSpec> link_specs_;
  steady_clock::time_point deadline_;
};

HostResult<void> Run::Prepare(const std::string& manifest_path) {
  report_.cause = kCauseManifestUnreadable;
  const auto text = ReadManifestFile(manifest_path);
  if (!text) return std::unexpected(text.error());
  if (auto parsed = Parse(*text); !parsed) return parsed;

  report_.cause = kCauseProgramUnreadable;
  std::optional<VerdictCache> cache;
  if (!options_.verdict_directory.empty()) {
    auto opened = VerdictCache::Open(options_.verdict_directory);
    if (!opened) return std::unexpected(HostError{HostStatus::kUsage, opened.error()});
    cache = std::move(*opened);
  }
  auto program = LoadProgram(manifest_, cache ? &*cache : nullptr);
  if (!program) {
    if (program.error().status == HostStatus::kRejected) {
      report_.validator = ValidatorState::kFailed;
      report_.cause = kCauseProgramRejected;
    }
    return std::unexpected(std::move(program).error());
  }
  image_ = std::move(program->image);
  report_.validator = ValidatorState::kPassed;
  report_.program_digest = image_->digest();
  report_.is_cached_verdict = program->is_cached_verdict;
  if (!program->cache_error.empty()) report_.warnings.push_back({0, program->cache_error});
  Mark(program->is_cached_verdict ? "program loaded, accepted before" : "program verified");

  if (auto good = CheckChannels(); !good) return good;
  report_.cause = kCauseMemoryInvalid;
  auto memory = CheckMemory(manifest_, image_->layout(), checked_);
  if (memory) report_.cause = kCauseVerified;
  return memory;
}

HostResult<void> Run::Parse(std::string_view text) {
  report_.cause = kCauseManifestInvalid;
  auto manifest = ParseManifest(text);
  if (!manifest) return std::unexpected(std::move(manifest).error());
  manifest_ = std::move(*manifest);
  report_.warnings = manifest_.warnings;
  report_.channels = manifest_.channels;
  report_.node = manifest_.node;
  report_.memory_size = manifest_.memory_size;
  report_.timeout_seconds = manifest_.timeout_seconds;
  report_.cpu_limit = options_.cpu_limit;
  report_.memory_limit = options_.memory_limit;
  report_.mapped = manifest_.mapped;
  report_.has_readiness = manifest_.wants_readiness;
  Mark("manifest parsed");
  return {};
}

HostResult<void> Run::CheckChannels() {
  report_.cause = kCauseChannelUnusable;
  auto checked = channels::CheckChannels(manifest_.channels);
  if (!checked) return std::unexpected(std::move(checked).error());
  checked_ = std::move(*checked);
  Mark("channels checked");
  return CheckExtensions(manifest_, checked_);
}

HostResult<void> Run::PrepareFork(std::string_view text, std::shared_ptr<const Snapshot> snapshot) {
  if (auto parsed = Parse(text); !parsed) return parsed;
  const std::size_t line = std::max(manifest_.mapped_line, manifest_.readiness_line);
  if (!manifest_.mapped.empty() || manifest_.wants_readiness) {
    return channels::FailHost(
        HostStatus::kManifest, ErrorCode::kInvalid,
        fmt::format("MANIFEST {}: neither Mapped nor Readiness can be in a session that goes on "
                    "from a fork",
                    line));
  }
  std::vector<const channels::ChannelSpec*> specs;
  specs.reserve(manifest_.channels.size());
  for (const channels::ChannelSpec& spec : manifest_.channels) specs.push_back(&spec);
  if (const auto same = snapshot->CheckChannels(specs); !same) {
    return channels::FailHost(HostStatus::kManifest, same.error().code,
                              "MANIFEST: " + same.error().message);
  }
  snapshot_ = std::move(snapshot);
  return CheckChannels();
}

HostResult<void> Run::RunSession() {
  if (auto begun = BeginJob(); !begun) return begun;
  report_.cause = kCauseChannelUnusable;
  deadline_ = steady_clock::now() + std::chrono::seconds(manifest_.timeout_seconds);
  auto opened = channels::OpenChannels(std::move(checked_), options_.extends_outputs);
  if (!opened) return std::unexpected(std::move(opened).error());
  opened_ = std::move(*opened);
  auto written = WrittenFiles::Keep(manifest_.channels, opened_);
  if (!written) return std::unexpected(written.error());
  Mark("channels opened");

  std::unique_ptr<Session> session;
  HostResult<void> ready = MeetPeers();
  if (ready) ready = StartSession(session);
  if (!ready) {
    [[maybe_unused]] const auto cut = written->Cut({});  // the first error is the one that matters
    return ready;
  }
  const SessionReport& ended = report_.session.emplace(session->Wait());
  Mark("session ended");
  Conclude(ended);
  HostResult<void> cut = written->Cut(ended.channels);
  Mark("files cut");
  if (!cut && report_.status == HostStatus::kOk) report_.cause = kCauseOutputUncut;
  return cut;
}

HostResult<void> Run::BeginJob() {
  const std::optional<std::string>& job = manifest_.job;
  if (!job.has_value() || !options_.before_job) return {};
  report_.cause = kCauseHostUnavailable;
  if (const auto begun = options_.before_job(*job); !begun) {
    return std::unexpected(HostError{StartStatus(begun.error().code), begun.error()});
  }
  wants_snapshot_ = true;
  return {};
}

HostResult<void> Run::MeetPeers() {
  report_.cause = kCausePeerMissing;
  if (auto waited = channels::WaitForWriters(opened_, deadline_); !waited) return waited;
  if (auto linked = OpenLinks(); !linked) {
    if (linked.error().status != HostStatus::kInterrupted) report_.cause = kCauseNetworkUnusable;
    return linked;
  }
  Mark("other sides met");
  return {};
}

HostResult<void> Run::StartSession(std::unique_ptr<Session>& session) {
  report_.cause = kCauseHostUnavailable;
  report_.session_start = steady_clock::now() - started_;
  auto started = Session::Start(MakeRequest());
  if (!started) {
    if (started.error().code != ErrorCode::kUnavailable) {
      report_.cause = ToString(Cause::kHostError);
    }
    return std::unexpected(HostError{StartStatus(started.error().code), started.error()});
  }
  session = std::move(*started);
  Mark("session started");
  if (options_.on_stopped_for_debugger) {
    session->WaitUntilStopped();
    options_.on_stopped_for_debugger(session->pid());
  }
  return {};
}

HostResult<void> Run::OpenLinks() {
  for (std::size_t i = 0; i < manifest_.channels.size(); ++i) {
    const channels::ChannelSpec& spec = manifest_.channels[i];
    for (std::size_t k = 0; k < spec.sources.size(); ++k) {
      const auto address = channels::ParseNetworkSource(spec.sources[k]);
      if (!address) continue;
      link_specs_.push_back({.channel = i,
                             .source = k,
                             .label = fmt::format("MANIFEST {}: Channel: source: {} ({})",
                                                  spec.line, spec.alias, spec.sources[k]),
                             .address = *address,
                             .is_reader = spec.is_readable()});
    }
  }
  if (link_specs_.empty()) return {};
  auto links = network::Links::Open(link_specs_,
                                    {.deadline = deadline_,
                                     .node = static_cast<std::uint32_t>(manifest_.node.value_or(0)),
                                     .name_server = manifest_.name_server});
  if (!links) return std::unexpected(std::move(links).error());
  links_ = std::move(*links);
  for (std::size_t i = 0; i < link_specs_.size(); ++i) {
    const network::LinkSpec& link = link_specs_[i];
    opened_[link.channel].sources[link.source].file = links_->TakeSessionEnd(i);
  }
  return {};
}

SessionRequest Run::MakeRequest() {
  SessionRequest request;
  request.image = std::move(image_);
  request.snapshot = std::move(snapshot_);
  request.wants_snapshot = wants_snapshot_;
  request.waits_for_debugger = options_.on_stopped_for_debugger != nullptr;
  request.memory_size = manifest_.memory_size;
  request.wants_memory_digest = manifest_.wants_memory_digest;
  request.digest_kind = options_.digest_kind;
  request.trace_capacity = options_.trace_capacity;
  request.cpu_limit = options_.cpu_limit;
  request.memory_limit = options_.memory_limit;
  request.wants_own_namespaces = options_.wants_own_namespaces;
  request.control_groups = options_.control_groups;
  request.wants_readiness = manifest_.wants_readiness;
  const auto left = std::chrono::ceil<std::chrono::milliseconds>(deadline_ - steady_clock::now());
  request.timeout = std::max(left, std::chrono::milliseconds(1));
  for (std::size_t i = 0; i < opened_.size(); ++i) {
    OpenedChannel& channel = opened_[i];
    SessionChannel& out = request.channels.emplace_back();
    out.spec = manifest_.channels[i];
    out.size = channel.size;
    out.is_stream = channel.is_stream;
    out.file = std::move(channel.sources.front().file);
    const MappedAlias* const mapped = FindMapped(manifest_, out.spec.alias);
    out.is_mapped = mapped != nullptr;
    out.is_immutable = mapped != nullptr && mapped->is_immutable;
    for (std::size_t k = 1; k < channel.sources.size(); ++k) {
      out.replicas.push_back(std::move(channel.sources[k].file));
    }
  }
  return request;
}

void Run::Conclude(const SessionReport& session) {
  report_.status = StatusOf(session);
  report_.state = StateOf(session);
  report_.cause = CauseOf(session);
  if (links_ == nullptr) return;
  report_.links = links_->Finish(session.cause == Cause::kExited);
  for (const network::LinkReport& link : report_.links) ConcludeLink(session, link);
  Mark("network channels finished");
}

// A link that is not complete is the cause of a session that could not read it, and spoils one
// that ended well; but a vote of several sources can do without one of them.
void Run::ConcludeLink(const SessionReport& session, const network::LinkReport& link) {
  if (link.is_complete) return;
  const bool is_blamed =
      session.cause == Cause::kChannelIo && std::cmp_equal(session.channel, link.channel);
  const bool has_replicas = manifest_.channels[link.channel].sources.size() > 1;
  const bool is_voted_out = link.is_reader && has_replicas;
  if (is_voted_out || (!is_blamed && report_.status != HostStatus::kOk)) return;
  if (link.is_timed_out) {
    report_.status = HostStatus::kInterrupted;
    report_.state = "session timeout";
    report_.cause = ToString(Cause::kTimedOut);
    return;
  }
  report_.status = HostStatus::kStream;
  report_.state = fmt::format("{} {}", SourceName(report_, link.channel, link.source), link.error);
  report_.cause = kCauseStreamBroken;
}

// What every failure leaves in the report.
RunReport Conclude(Run& run, RunReport& report, const HostResult<void>& result) {
  if (!result) {
    report.status = result.error().status;
    report.state = result.error().error.message;
    if (report.status == HostStatus::kUnavailable && report.cause != kCauseNetworkUnusable) {
      report.cause = kCauseHostUnavailable;
    }
  }
  run.Mark(fmt::format("done: {}", report.state));
  return std::move(report);
}

}  // namespace

RunReport RunManifest(const std::string& manifest_path, const RunOptions& options) {
  RaiseDescriptorLimit();
  RunReport report;
  report.digest_kind = options.digest_kind;
  Run run(options, report);
  HostResult<void> result = run.Prepare(manifest_path);
  if (result && !options.verify_only) result = run.RunSession();
  return Conclude(run, report, result);
}

RunReport ContinueManifest(std::string_view text, std::shared_ptr<const Snapshot> snapshot,
                           const RunOptions& options) {
  // There is a daemon already, and nobody who would debug or see a trace.
  RunOptions own;
  own.extends_outputs = options.extends_outputs;
  own.digest_kind = options.digest_kind;
  own.cpu_limit = options.cpu_limit;
  own.memory_limit = options.memory_limit;
  own.wants_own_namespaces = options.wants_own_namespaces;
  own.control_groups = options.control_groups;
  RunReport report;
  report.digest_kind = own.digest_kind;
  report.validator = ValidatorState::kPassed;  // before the fork
  Run run(own, report);
  HostResult<void> result = run.PrepareFork(text, std::move(snapshot));
  if (result) result = run.RunSession();
  return Conclude(run, report, result);
}

}  // namespace zerocloud::runtime
