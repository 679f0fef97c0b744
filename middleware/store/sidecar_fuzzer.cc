// Any bytes as a sidecar: nothing crashes, and what parses can be written and read back the same.
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "middleware/store/description.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace zerocloud::store;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  if (const auto parsed = ParseSidecar(text)) {
    const auto again = ParseSidecar(WriteSidecar(*parsed));
    if (!again || *again != *parsed) std::abort();
  }
  if (const auto parsed = ParseFolderSidecar(text)) {
    const auto again = ParseFolderSidecar(WriteFolderSidecar(*parsed));
    if (!again || *again != *parsed) std::abort();
  }
  return 0;
}
