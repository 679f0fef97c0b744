// Any bytes as a Range field: every range that comes out lies within the representation.
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "middleware/http/date.h"
#include "middleware/http/range.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace zerocloud::http;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  for (const std::uint64_t length : {std::uint64_t{0}, std::uint64_t{1}, std::uint64_t{1000}}) {
    for (const ByteRange& range : ParseRange(text, length).ranges) {
      if (range.length == 0 || range.offset >= length || range.length > length - range.offset) {
        std::abort();
      }
    }
  }
  if (const auto date = ParseDate(text); date && *date < 0) std::abort();
  return 0;
}
