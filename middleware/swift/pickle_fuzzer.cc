// Any bytes as a pickle: a dictionary of bounded size, or a refusal.
#include <cstdint>
#include <cstdlib>
#include <span>

#include "middleware/swift/pickle.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace zerocloud::swift;
  const auto metadata = ParsePickle(std::as_bytes(std::span(data, size)));
  if (!metadata.has_value()) return 0;
  std::size_t bytes = 0;
  for (const auto& [key, value] : *metadata) bytes += key.size() + value.size();
  if (bytes > kMaxPickleBytes) std::abort();
  return 0;
}
