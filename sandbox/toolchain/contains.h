// std::ranges::contains, which Debian 12's C++ library does not have yet.
#pragma once

#include <algorithm>

namespace zerocloud::toolchain {

template <typename Range, typename Value>
bool Contains(const Range& range, const Value& value) {
  return std::ranges::find(range, value) != std::ranges::end(range);
}

}  // namespace zerocloud::toolchain
