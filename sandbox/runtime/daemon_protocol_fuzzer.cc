// Any bytes in any pieces: the reader never holds more than a manifest may have, and the same bytes
// in one piece say the same.
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "sandbox/runtime/daemon_protocol.h"

namespace {

void Check(bool holds) {
  if (!holds) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using zerocloud::runtime::RequestReader;
  if (size == 0) return 0;
  const std::size_t piece = data[0] % 16 + 1;
  const std::string_view bytes(reinterpret_cast<const char*>(data) + 1, size - 1);

  RequestReader in_pieces;
  bool is_good = true;
  for (std::size_t at = 0; at < bytes.size() && is_good; at += piece) {
    is_good = in_pieces.Take(bytes.substr(at, piece)).has_value();
    Check(in_pieces.manifest().size() <= zerocloud::runtime::kMaxManifestSize);
  }
  RequestReader at_once;
  Check(at_once.Take(bytes).has_value() == is_good);
  Check(at_once.is_complete() == in_pieces.is_complete());
  if (is_good) {
    Check(at_once.manifest() == in_pieces.manifest());
    if (at_once.is_complete()) Check(bytes.substr(8).starts_with(at_once.manifest()));
  }
  return 0;
}
