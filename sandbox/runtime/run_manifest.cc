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
#include <span>
#include <utility>
#include <vector>

#include "channels/base/unique_fd.h"
#include "channels/open_channel.h"
#include "sandbox/include/zvm.h"
#include "sandbox/loader/image.h"
#include "sandbox/runtime/address_space.h"
#include "sandbox/runtime/mapped.h"
#include "sandbox/runtime/snapshot.h"

namespace zerocloud::runtime {
namespace {

using channels::CheckedChannel;
using channels::FailHost;
using channels::HostError;
using channels::HostResult;
using channels::HostStatus;
using channels::OpenedChannel;

auto FailErrnoAs(HostStatus status, const std::string& what, int host_errno) {
  return std::unexpected(HostError{status, ErrnoError(what, host_errno)});
}

HostResult<std::string> ReadManifestFile(const std::string& path) {
  const UniqueFd file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOCTTY));
  if (!file.is_open()) {
    return FailErrnoAs(HostStatus::kMissing, "cannot open the manifest " + path, errno);
  }
  // One byte more than allowed shows that there is too much.
  std::string text(kMaxManifestSize + 1, '\0');
  std::size_t size = 0;
  while (size < text.size()) {
    const ssize_t count = ::read(file.get(), text.data() + size, text.size() - size);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return FailErrnoAs(HostStatus::kIo, "cannot read the manifest " + path, errno);
    if (count == 0) break;
    size += static_cast<std::size_t>(count);
  }
  text.resize(size);
  return text;
}

HostStatus LoadStatus(ErrorCode code) {
  switch (code) {
    case ErrorCode::kUnavailable:
      return HostStatus::kUnavailable;
    case ErrorCode::kInternal:
      return HostStatus::kIo;
    default:
      return HostStatus::kRejected;
  }
}

HostResult<std::shared_ptr<const loader::Image>> LoadProgram(const std::string& path) {
  const UniqueFd file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK));
  if (!file.is_open()) {
    return FailErrnoAs(HostStatus::kMissing, "cannot open the program " + path, errno);
  }
  struct stat status{};
  if (::fstat(file.get(), &status) != 0) {
    return FailErrnoAs(HostStatus::kIo, "cannot read the program " + path, errno);
  }
  if (!S_ISREG(status.st_mode)) {
    return FailHost(HostStatus::kIo, ErrorCode::kInvalid,
                    fmt::format("the program {} is not a regular file", path));
  }
  auto image = loader::Image::LoadFile(file.get());
  if (!image) {
    return FailHost(LoadStatus(image.error().code), image.error().code,
                    fmt::format("the program {}: {}", path, image.error().message));
  }
  return std::move(*image);
}

const MappedAlias* FindMapped(const Manifest& manifest, const std::string& alias) {
  const auto found = std::ranges::find(manifest.mapped, alias, &MappedAlias::alias);
  return found == manifest.mapped.end() ? nullptr : &*found;
}

// Whether what ZeroVM did not have can be (mapped channels, readiness), so that this is known
// before any output is touched.
HostResult<void> CheckExtensions(const Manifest& manifest,
                                 std::span<const CheckedChannel> checked) {
  std::size_t found = 0;
  for (std::size_t i = 0; i < checked.size(); ++i) {
    const channels::ChannelSpec& spec = manifest.channels[i];
    if (FindMapped(manifest, spec.alias) == nullptr) continue;
    ++found;
    Result<void> good = CheckMappedChannel(spec, checked[i].open.size, checked[i].open.is_stream);
    if (good && manifest.job) {
      good = Fail(ErrorCode::kInvalid,
                  spec.alias + " cannot be mapped: there is a Job, so the guest may fork");
    }
    if (!good) {
      return FailHost(HostStatus::kManifest, good.error().code,
                      "MANIFEST: Mapped: " + good.error().message);
    }
  }
  if (manifest.wants_readiness && manifest.job) {
    return FailHost(HostStatus::kManifest, ErrorCode::kInvalid,
                    "MANIFEST: Readiness: there is a Job, so the guest may fork");
  }
  if (found == manifest.mapped.size()) return {};
  return FailHost(HostStatus::kManifest, ErrorCode::kInvalid,
                  "MANIFEST: Mapped: an alias that no channel has, or one twice");
}

// Whether the session will fit its memory, so that this is known before any output is touched.
HostResult<void> CheckMemory(const Manifest& manifest, const loader::ImageLayout& layout,
                             std::span<const CheckedChannel> checked) {
  std::vector<ChannelFacts> facts;
  facts.reserve(manifest.channels.size());
  for (std::size_t i = 0; i < checked.size(); ++i) {
    const std::string& alias = manifest.channels[i].alias;
    const bool is_mapped = FindMapped(manifest, alias) != nullptr;
    facts.push_back({alias, {}, is_mapped ? checked[i].open.size : 0});
  }
  const Region image{.address = ZVM_IMAGE_ADDRESS,
                     .size = layout.image_end - ZVM_IMAGE_ADDRESS,
                     .image_offset = 0,
                     .access = kRead,
                     .source = RegionSource::kImage};
  const auto space = LayOut(std::span(&image, 1), manifest.memory_size, facts);
  if (!space) return FailHost(HostStatus::kMemory, space.error().code, space.error().message);
  return {};
}

// Channels may be more than the usual number of descriptors.
void RaiseDescriptorLimit() {
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
  limit.rlim_cur = limit.rlim_max;
  ::setrlimit(RLIMIT_NOFILE, &limit);  // a failure shows when a file cannot be opened
}

// The outputs once more, to cut them when the session no longer has them.
HostResult<std::vector<UniqueFd>> KeepOutputs(const std::vector<channels::ChannelSpec>& specs,
                                              const std::vector<OpenedChannel>& opened) {
  std::vector<UniqueFd> outputs(opened.size());
  for (std::size_t i = 0; i < opened.size(); ++i) {
    if (!specs[i].is_writable() || opened[i].is_stream) continue;
    outputs[i].Reset(::fcntl(opened[i].file.get(), F_DUPFD_CLOEXEC, 0));
    if (!outputs[i].is_open()) {
      return FailErrnoAs(HostStatus::kUnavailable, "cannot keep " + specs[i].alias + " open",
                         errno);
    }
  }
  return outputs;
}

// A transfer that was interrupted leaves bytes that nobody counted. The first failure is told.
HostResult<void> CutOutputs(const std::vector<UniqueFd>& outputs, const SessionReport& report) {
  HostResult<void> result;
  for (std::size_t i = 0; i < outputs.size() && i < report.channels.size(); ++i) {
    if (!outputs[i].is_open()) continue;
    struct stat status{};
    const std::uint64_t size = report.channels[i].size;
    const bool is_known = ::fstat(outputs[i].get(), &status) == 0;
    if (is_known && std::cmp_less_equal(status.st_size, size)) continue;
    if ((!is_known || ::ftruncate(outputs[i].get(), static_cast<off_t>(size)) != 0) && result) {
      result = FailErrnoAs(HostStatus::kIo,
                           fmt::format("cannot cut {} to {} bytes", report.channels[i].alias, size),
                           errno);
    }
  }
  return result;
}

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

// Runs the session that `request` has the beginnings of. `report` gets what is known also when it
// fails.
HostResult<void> RunSession(Manifest& manifest, SessionRequest request,
                            std::vector<CheckedChannel> checked, const RunOptions& options,
                            RunReport& report) {
  auto opened = channels::OpenChannels(std::move(checked));
  if (!opened) return std::unexpected(std::move(opened).error());
  const auto deadline =
      std::chrono::steady_clock::now() + std::chrono::seconds(manifest.timeout_seconds);
  if (auto waited = channels::WaitForWriters(*opened, deadline); !waited) return waited;
  const auto outputs = KeepOutputs(manifest.channels, *opened);
  if (!outputs) return std::unexpected(outputs.error());

  request.memory_size = manifest.memory_size;
  request.waits_for_debugger = options.on_stopped_for_debugger != nullptr;
  request.wants_memory_digest = manifest.wants_memory_digest;
  request.cpu_limit = options.cpu_limit;
  request.memory_limit = options.memory_limit;
  request.wants_own_namespaces = options.wants_own_namespaces;
  request.control_groups = options.control_groups;
  request.wants_readiness = manifest.wants_readiness;
  const auto left =
      std::chrono::ceil<std::chrono::milliseconds>(deadline - std::chrono::steady_clock::now());
  request.timeout = std::max(left, std::chrono::milliseconds(1));
  for (std::size_t i = 0; i < opened->size(); ++i) {
    OpenedChannel& channel = (*opened)[i];
    request.channels.push_back({.spec = manifest.channels[i],
                                .file = std::move(channel.file),
                                .size = channel.size,
                                .is_stream = channel.is_stream});
    const MappedAlias* const mapped = FindMapped(manifest, request.channels.back().spec.alias);
    request.channels.back().is_mapped = mapped != nullptr;
    request.channels.back().is_immutable = mapped != nullptr && mapped->is_immutable;
  }
  auto session = Session::Start(std::move(request));
  if (!session) {
    return FailHost(StartStatus(session.error().code), session.error().code,
                    session.error().message);
  }
  if (options.on_stopped_for_debugger) {
    (*session)->WaitUntilStopped();
    options.on_stopped_for_debugger((*session)->pid());
  }
  report.session = (*session)->Wait();
  report.status = StatusOf(*report.session);
  report.state = StateOf(*report.session);
  return CutOutputs(*outputs, *report.session);
}

HostResult<void> Run(const std::string& manifest_path, const RunOptions& options,
                     RunReport& report) {
  RaiseDescriptorLimit();
  const auto text = ReadManifestFile(manifest_path);
  if (!text) return std::unexpected(text.error());
  auto manifest = ParseManifest(*text);
  if (!manifest) return std::unexpected(std::move(manifest).error());
  report.warnings = std::move(manifest->warnings);
  report.channels = manifest->channels;

  auto image = LoadProgram(manifest->program);
  if (!image) {
    if (image.error().status == HostStatus::kRejected) report.validator = ValidatorState::kFailed;
    return std::unexpected(std::move(image).error());
  }
  report.validator = ValidatorState::kPassed;

  auto checked = channels::CheckChannels(manifest->channels);
  if (!checked) return std::unexpected(std::move(checked).error());
  if (auto good = CheckExtensions(*manifest, *checked); !good) return good;
  auto memory = CheckMemory(*manifest, (*image)->layout(), *checked);
  if (!memory) return memory;
  if (options.verify_only) return {};
  SessionRequest request;
  request.image = std::move(*image);
  const std::optional<std::string> job = manifest->job;
  if (job.has_value() && options.before_job) {
    if (const auto begun = options.before_job(*job); !begun) {
      return FailHost(StartStatus(begun.error().code), begun.error().code, begun.error().message);
    }
    request.wants_snapshot = true;
  }
  return RunSession(*manifest, std::move(request), std::move(*checked), options, report);
}

HostResult<void> Continue(std::string_view text, std::shared_ptr<const Snapshot> snapshot,
                          const RunOptions& options, RunReport& report) {
  auto manifest = ParseManifest(text);
  if (!manifest) return std::unexpected(std::move(manifest).error());
  report.warnings = std::move(manifest->warnings);
  report.channels = manifest->channels;
  std::vector<const channels::ChannelSpec*> specs;
  specs.reserve(report.channels.size());
  for (const channels::ChannelSpec& spec : report.channels) specs.push_back(&spec);
  if (const auto same = snapshot->CheckChannels(specs); !same) {
    return FailHost(HostStatus::kManifest, same.error().code, "MANIFEST: " + same.error().message);
  }
  auto checked = channels::CheckChannels(manifest->channels);
  if (!checked) return std::unexpected(std::move(checked).error());
  SessionRequest request;
  request.snapshot = std::move(snapshot);
  RunOptions undebugged = options;  // nobody looks at what a daemon's sessions do
  undebugged.on_stopped_for_debugger = nullptr;
  return RunSession(*manifest, std::move(request), std::move(*checked), undebugged, report);
}

}  // namespace

RunReport RunManifest(const std::string& manifest_path, const RunOptions& options) {
  RunReport report;
  if (const auto run = Run(manifest_path, options, report); !run) {
    report.status = run.error().status;
    report.state = run.error().error.message;
  }
  return report;
}

RunReport ContinueManifest(std::string_view text, std::shared_ptr<const Snapshot> snapshot,
                           const RunOptions& options) {
  RunReport report;
  report.validator = ValidatorState::kPassed;  // before the fork
  if (const auto run = Continue(text, std::move(snapshot), options, report); !run) {
    report.status = run.error().status;
    report.state = run.error().error.message;
  }
  return report;
}

}  // namespace zerocloud::runtime
