#include "sandbox/runtime/prepare_run.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <span>
#include <utility>
#include <vector>

#include "channels/base/unique_fd.h"
#include "sandbox/include/zvm.h"
#include "sandbox/runtime/address_space.h"
#include "sandbox/runtime/mapped.h"

namespace zerocloud::runtime {
namespace {

using channels::CheckedChannel;
using channels::FailHost;
using channels::HostError;
using channels::HostResult;
using channels::HostStatus;

auto FailErrnoAs(HostStatus status, const std::string& what, int host_errno) {
  return std::unexpected(HostError{status, ErrnoError(what, host_errno)});
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

// The program that `manifest` names, whole.
HostResult<std::vector<std::byte>> ReadProgram(const std::string& path, const std::string& what) {
  const UniqueFd file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK));
  if (!file.is_open()) return FailErrnoAs(HostStatus::kMissing, "cannot open " + what, errno);
  struct stat status{};
  if (::fstat(file.get(), &status) != 0) {
    return FailErrnoAs(HostStatus::kIo, "cannot read " + what, errno);
  }
  if (!S_ISREG(status.st_mode)) {
    return FailHost(HostStatus::kIo, ErrorCode::kInvalid, what + " is not a regular file");
  }
  auto bytes = loader::ReadImageFile(file.get());
  if (bytes) return std::move(*bytes);
  return FailHost(LoadStatus(bytes.error().code), bytes.error().code,
                  what + ": " + bytes.error().message);
}

HostResult<LoadedProgram> Load(const std::string& path, const VerdictCache* cache) {
  const std::string what = "the program " + path;
  const auto file = ReadProgram(path, what);
  if (!file) return std::unexpected(file.error());
  LoadedProgram program;
  if (cache != nullptr) {
    const auto digest = loader::DigestOf(*file);
    program.is_cached_verdict = digest && cache->HasAccepted(*digest);
  }
  auto image =
      program.is_cached_verdict ? loader::Image::LoadAccepted(*file) : loader::Image::Load(*file);
  if (!image) {
    return FailHost(LoadStatus(image.error().code), image.error().code,
                    what + ": " + image.error().message);
  }
  program.image = std::move(*image);
  if (cache != nullptr && !program.is_cached_verdict) {
    const auto kept = cache->Accept(program.image->digest());
    if (!kept) program.cache_error = kept.error().message;
  }
  return program;
}

}  // namespace

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

HostResult<LoadedProgram> LoadProgram(const Manifest& manifest, const VerdictCache* cache) {
  auto program = Load(manifest.program, cache);
  if (!program) {
    program.error().error.message = fmt::format("MANIFEST {}: Program: {}", manifest.program_line,
                                                program.error().error.message);
  }
  return program;
}

const MappedAlias* FindMapped(const Manifest& manifest, std::string_view alias) {
  const auto found = std::ranges::find(manifest.mapped, alias, &MappedAlias::alias);
  return found == manifest.mapped.end() ? nullptr : &*found;
}

HostResult<void> CheckExtensions(const Manifest& manifest,
                                 std::span<const CheckedChannel> checked) {
  for (std::size_t i = 0; i < checked.size(); ++i) {
    const channels::ChannelSpec& spec = manifest.channels[i];
    if (manifest.wants_readiness && checked[i].is_stream && spec.is_readable() &&
        spec.sources.size() > 1) {
      return FailHost(
          HostStatus::kManifest, ErrorCode::kInvalid,
          fmt::format("MANIFEST {}: Readiness: {} is a stream of several sources, and nobody "
                      "knows beforehand when they will have agreed",
                      manifest.readiness_line, spec.alias));
    }
    if (FindMapped(manifest, spec.alias) == nullptr) continue;
    const auto good = CheckMappedChannel(spec, checked[i].size, checked[i].is_stream);
    if (good) continue;
    return FailHost(
        HostStatus::kManifest, good.error().code,
        fmt::format("MANIFEST {}: Mapped: {}", manifest.mapped_line, good.error().message));
  }
  return {};
}

HostResult<void> CheckMemory(const Manifest& manifest, const loader::ImageLayout& layout,
                             std::span<const CheckedChannel> checked) {
  std::vector<ChannelFacts> facts;
  facts.reserve(checked.size());
  for (std::size_t i = 0; i < checked.size(); ++i) {
    const std::string& alias = manifest.channels[i].alias;
    facts.push_back({alias, {}, FindMapped(manifest, alias) != nullptr ? checked[i].size : 0});
  }
  const Region image{.address = ZVM_IMAGE_ADDRESS,
                     .size = layout.image_end - ZVM_IMAGE_ADDRESS,
                     .image_offset = 0,
                     .access = kRead,
                     .source = RegionSource::kImage};
  const auto space = LayOut(std::span(&image, 1), manifest.memory_size, facts);
  if (!space) {
    return FailHost(
        HostStatus::kMemory, space.error().code,
        fmt::format("MANIFEST {}: Memory: {}", manifest.memory_line, space.error().message));
  }
  return {};
}

}  // namespace zerocloud::runtime
