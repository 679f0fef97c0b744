// Any bytes as assembly: no crash, no hang.
#include <cstdint>

#include "sandbox/toolchain/rewrite.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  (void)zerocloud::toolchain::Rewrite(text, "fuzz.s");
  return 0;
}
