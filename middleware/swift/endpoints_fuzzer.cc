// Answers of list_endpoints: whatever is accepted names devices that are one component of a path.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "middleware/swift/endpoints.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const void* bytes = data;
  const auto found = zerocloud::swift::ParseEndpoints({static_cast<const char*>(bytes), size});
  if (!found.has_value()) return 0;
  if (found->endpoints.size() > zerocloud::swift::kMaxEndpoints) std::abort();
  for (const auto& endpoint : found->endpoints) {
    const std::string_view device = endpoint.device;
    const bool is_component = !device.empty() && device != "." && device != ".." &&
                              device.find('/') == std::string_view::npos;
    if (!is_component || endpoint.address.empty()) std::abort();
  }
  return 0;
}
