// Any bytes, cut in two at any place: the scanner must come to the same verdict as in one piece,
// and what it accepts must hold its own promises.
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "middleware/server/head_scanner.h"

using zerocloud::server::HeadScanner;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const std::string_view bytes(static_cast<const char*>(static_cast<const void*>(data)) + 1,
                               size - 1);
  HeadScanner whole({100, 1000, 10});
  const auto verdict = whole.Scan(bytes);

  HeadScanner cut({100, 1000, 10});
  auto piecewise = cut.Scan(bytes.substr(0, data[0] % size));
  if (piecewise == HeadScanner::State::kNeedsMore) piecewise = cut.Scan(bytes);
  if (piecewise != verdict) std::abort();
  if (verdict == HeadScanner::State::kComplete) {
    const std::string_view head = bytes.substr(0, whole.head_size());
    if (!head.ends_with("\r\n\r\n") || cut.head_size() != head.size()) std::abort();
    if (head.find('\0') != std::string_view::npos) std::abort();
    if (head.find("\r\n ") != std::string_view::npos) std::abort();
  }
  if (verdict == HeadScanner::State::kRefused && whole.reason().empty()) std::abort();
  return 0;
}
