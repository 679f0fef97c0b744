// Any answer of an upstream: names, or a refusal.
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "middleware/upstream/listing_page.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(static_cast<const char*>(static_cast<const void*>(data)), size);
  constexpr std::size_t kMost = 3;
  const auto names = zerocloud::upstream::ParseListingPage(text, size + 1);
  const auto few = zerocloud::upstream::ParseListingPage(text, kMost);
  if (names.has_value() && names->size() > size) std::abort();
  if (few.has_value() && few->size() > kMost) std::abort();
  if (names.has_value() && !few.has_value()) std::abort();
  return 0;
}
