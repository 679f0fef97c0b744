// Any bytes as a request target: nothing crashes, and a path that parses holds clean names.
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "middleware/http/target.h"
#include "middleware/http/text.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace zerocloud::http;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const Target target = ParseTarget(text);
  if (const auto path = ParseStoragePath(target.path); path && *path) {
    const StoragePath& names = **path;
    if (names.account.empty() || !IsUtf8(names.object) ||
        names.object.find('\0') != std::string::npos) {
      std::abort();
    }
  }
  if (PercentDecode(PercentEncode(text)) != text) std::abort();
  static_cast<void>(SplitContainerAndObject(text, "Destination"));
  return 0;
}
