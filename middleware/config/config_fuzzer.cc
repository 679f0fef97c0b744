// Any configuration text: refused with a reason, or applied so that its dump can be applied too.
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "middleware/config/config.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(static_cast<const char*>(static_cast<const void*>(data)), size);
  zerocloud::config::Config config;
  const auto applied = zerocloud::config::ApplyJson(config, text);
  if (!applied.has_value()) {
    if (applied.error().message.empty()) std::abort();
    return 0;
  }
  zerocloud::config::Config again;
  if (!zerocloud::config::ApplyJson(again, zerocloud::config::Dump(config)).has_value()) {
    std::abort();
  }
  return 0;
}
