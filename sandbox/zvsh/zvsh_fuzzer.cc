// Everything that zvsh reads: configuration, images, reports.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "sandbox/zvsh/archive.h"
#include "sandbox/zvsh/config.h"
#include "sandbox/zvsh/outcome.h"

// NOLINTNEXTLINE(readability-identifier-naming): libFuzzer's name
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace zerocloud;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  (void)zvsh::ParseConfig(text);
  (void)zvsh::ParseImage(text);
  (void)zvsh::ReadOutcome(text);
  const auto member = zvsh::FindMember(
      [text](std::uint64_t offset, std::span<char> bytes) -> Result<std::size_t> {
        if (offset >= text.size()) return 0;
        const std::size_t n = std::min<std::size_t>(bytes.size(), text.size() - offset);
        std::copy_n(text.begin() + static_cast<std::ptrdiff_t>(offset), n, bytes.begin());
        return n;
      },
      "bin/python");
  if (member && *member && (*member)->offset > text.size()) std::abort();
  return 0;
}
