// jail and unjail: the calls that make memory of the guest's code, and data again. TRUSTED,
// freestanding.
//
// Code is whole pages of the heap (or of zero-initialised data) below 2 GiB. The order is what
// makes it safe: round to pages, fill the last page with traps, take the right to write away,
// verify every byte that will be executable, and only then give the right to execute. A piece is
// made data again only as the whole that it was: direct branches stay inside their piece, so no
// other piece can depend on it; indirect ones reach bundle starts, which are safe in any verified
// piece, or fault.
//
// docs/abi.md has the table of results.
#pragma once

#include <stdint.h>

#include "sandbox/runtime/calls.h"

namespace zerocloud::runtime {

// At most this much code in one piece: the verifier's scratch memory is made for it.
inline constexpr uint64_t kMaxJailSize = uint64_t{16} << 20;

int64_t Jail(Calls& calls, uint64_t address, uint64_t size);
int64_t Unjail(Calls& calls, uint64_t address, uint64_t size);

}  // namespace zerocloud::runtime
