// Any bytes as an unpacked ring, and as a packed one: devices, or a refusal.
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "middleware/swift/ring.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace zerocloud::swift;
  const std::string_view bytes(static_cast<const char*>(static_cast<const void*>(data)), size);
  const auto ring = Ring::Parse(std::string(bytes));
  if (ring.has_value()) {
    const std::uint32_t last = 0xffffffffU >> ring->part_shift();
    for (const std::uint32_t partition : {0U, last / 2, last}) {
      for (const RingDevice* device : ring->DevicesOf(partition)) {
        if (device->name.empty() || device->name.contains('/')) std::abort();
      }
    }
  }
  constexpr std::size_t kLimit = 1 << 20;
  const auto unpacked = Gunzip(bytes, kLimit);
  if (unpacked.has_value() && unpacked->size() > kLimit) std::abort();
  return 0;
}
