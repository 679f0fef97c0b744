// The steps of a run before anything on the host changes: read the manifest, load and verify the
// program, see that the guest fits its memory. Shared by runs and by the checker.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "channels/host_status.h"
#include "channels/open_channel.h"
#include "sandbox/loader/image.h"
#include "sandbox/runtime/manifest.h"
#include "sandbox/runtime/verdict_cache.h"

namespace zerocloud::runtime {

// At most one byte more than a manifest may have. kMissing, or kIo.
channels::HostResult<std::string> ReadManifestFile(const std::string& path);

struct LoadedProgram {
  std::shared_ptr<const loader::Image> image;
  bool is_cached_verdict = false;  // it was not verified now
  std::string cache_error;         // the verdict could not be kept; it holds all the same
};
// `cache` may be null. A message begins with the manifest's line.
channels::HostResult<LoadedProgram> LoadProgram(const Manifest& manifest,
                                                const VerdictCache* cache);

// What the manifest says of the channel with this alias under Mapped; null: nothing.
const MappedAlias* FindMapped(const Manifest& manifest, std::string_view alias);

// Whether what ZeroVM did not have can be (Mapped, Readiness), and whether the session will fit its
// memory, so that both are known before any output is touched. `checked` are the manifest's
// channels.
channels::HostResult<void> CheckExtensions(const Manifest& manifest,
                                           std::span<const channels::CheckedChannel> checked);
channels::HostResult<void> CheckMemory(const Manifest& manifest, const loader::ImageLayout& layout,
                                       std::span<const channels::CheckedChannel> checked);

}  // namespace zerocloud::runtime
