// The calls of a session as the launcher noted them, for `zerovm -T`. They lie in the session block
// behind everything else; the launcher fills them from the front and counts what no longer fits.
// Freestanding.
#pragma once

#include <stdint.h>

namespace zerocloud::runtime {

// Times are the processor's time stamp counter; `end` is 0 for a call that did not return.
struct TraceCall {
  uint64_t start, end;
  uint64_t number, arguments[4];  // as the guest left them in registers
  int64_t result;
};

}  // namespace zerocloud::runtime
