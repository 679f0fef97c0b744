// Any bytes as a manifest: a value that keeps every limit, or an error with a message and a line.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "channels/channel_parse.h"
#include "sandbox/runtime/manifest.h"

namespace {

// Few random bytes are a manifest; so what begins with a plus sign is more lines of a good one.
constexpr std::string_view kGood =
    "Version = 20130611\nProgram = a.zvm\nMemory = 67108864, 1\nTimeout = 30\n"
    "Channel = /in, /dev/stdin, 0, 0, 32, 32, 0, 0\n"
    "Channel = /out, /dev/stdout, 0, 1, 0, 0, 32, 32\n"
    "Channel = /dev/null, /dev/stderr, 0, 0, 0, 0, 32, 32\n";

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  std::string text(reinterpret_cast<const char*>(data), size);
  if (text.starts_with('+')) text.replace(0, 1, kGood);
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
