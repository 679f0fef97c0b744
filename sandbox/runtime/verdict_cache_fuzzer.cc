// Any bytes as a stored verdict: refused, or exactly what would be written for it.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "sandbox/runtime/verdict_cache.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace zerocloud::runtime;  // NOLINT(google-build-using-namespace)
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const auto verdict = ParseVerdict(text);
  if (verdict && RenderVerdict(*verdict) != text) std::abort();
  return 0;
}
