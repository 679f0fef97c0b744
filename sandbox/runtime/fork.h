// fork: the call that leaves a snapshot. TRUSTED, freestanding.
//
// The snapshot file is as long as guest addresses go, and a byte of guest memory stands at the
// offset that is its address; pages that were never touched stay holes. What else the guest goes on
// with is in the session block: registers, channel states, jailed regions. The host checks all of
// it before it starts a session from it (snapshot.h).
#pragma once

#include <stdint.h>

#include "sandbox/runtime/calls.h"

namespace zerocloud::runtime {

// 0 at once where no snapshot is wanted. Otherwise the session ends: kForked, or kSnapshotIo when
// the file could not be written.
int64_t Fork(Calls& calls);

}  // namespace zerocloud::runtime
