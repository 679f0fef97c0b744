// Any answer of an upstream: names, or a refusal.
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "middleware/upstream/listing_page.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(static_cast<const char*>(static_cast<const void*>(data)), size);
  const auto names = zerocloud::upstream::ParseListingPage(text);
  if (names.has_value() && names->size() > size) std::abort();
  return 0;
}
