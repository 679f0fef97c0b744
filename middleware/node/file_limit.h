// How many files this process may have open.
#pragma once

#include <cstddef>

namespace zerocloud::node {

// A reader of ten thousand connections has as many files open. Raises the limit, beyond the hard
// one where the process has the right to, and returns it.
std::size_t RaiseFileLimit();

}  // namespace zerocloud::node
