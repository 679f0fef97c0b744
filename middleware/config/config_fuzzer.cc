// Any configuration file: refused with a reason, or applied so that its dump can be applied too and
// says the same.
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "middleware/config/config.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace zerocloud::config;
  const std::string_view text(static_cast<const char*>(static_cast<const void*>(data)), size);
  Settings settings;
  const auto applied = ApplyIni(settings, "fuzz.conf", text);
  if (!applied.has_value()) {
    if (!applied.error().message.starts_with("fuzz.conf")) std::abort();
    return 0;
  }
  Settings again;
  if (!ApplyIni(again, "dump.conf", Dump(settings)).has_value()) std::abort();
  if (!again.warnings.empty()) std::abort();
  again.origins = settings.origins;
  if (Dump(again) != Dump(settings)) std::abort();
  return 0;
}
