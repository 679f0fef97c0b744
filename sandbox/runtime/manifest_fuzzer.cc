// Any bytes as a manifest: a value that keeps every limit, or an error with a message and a line.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "channels/channel_parse.h"
#include "sandbox/runtime/manifest.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const auto manifest = zerocloud::runtime::ParseManifest(text);
  const auto check = zerocloud::runtime::CheckManifest(text);
  if (check.errors.empty() != manifest.has_value()) std::abort();
  if (!manifest) {
    const auto& error = manifest.error();
    if (error.status == zerocloud::channels::HostStatus::kOk ||
        !error.error.message.starts_with("MANIFEST") || check.errors.front().error != error) {
      std::abort();
    }
    return 0;
  }
  if (manifest->timeout_seconds < 1 || manifest->memory_size == 0 || manifest->program.empty() ||
      manifest->memory_size > static_cast<std::uint64_t>(zerocloud::runtime::kMaxMemorySize) ||
      !zerocloud::channels::ValidateChannels(manifest->channels).has_value()) {
    std::abort();
  }
  return 0;
}
