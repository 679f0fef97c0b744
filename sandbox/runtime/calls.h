// The six calls. TRUSTED: everything that a guest can make the host do goes through Dispatch().
//
// Freestanding, no state of its own, one thread. In a session process the gate (gate.S) calls it
// with the guest's argument registers; in tests it runs over an arena.
#pragma once

#include <stdint.h>

#include "sandbox/runtime/guest_memory.h"
#include "sandbox/runtime/session_block.h"

namespace zerocloud::runtime {

struct Calls {
  SessionBlock* block;     // channel states and the report
  BlockChannel* channels;  // block->channels(), kept apart so that counts are the host's
  uint32_t channel_count;
  int first_descriptor;  // of source 0: see ReadSources()
  GuestMemory memory;
  void (*end_session)();         // does not return in a session process; in tests it may
  int snapshot_descriptor = -1;  // what fork writes; -1: fork returns 0 at once
  const GuestRegisters* registers = nullptr;  // of the guest during the call, for fork
  Region* regions = nullptr;                  // what `memory` is made of, for jail to cut
  uint32_t region_capacity = 0;               // 0: nothing can be jailed
  TraceCall* trace = nullptr;                 // room for trace_capacity calls
  uint64_t trace_capacity = 0;
  unsigned char* stderr_tail = nullptr;  // a ring of kStderrTailSize bytes, if it is kept
};

// One call: `number` and the arguments as the guest left them in registers, so any values. Returns
// what the guest gets: >= 0 or a negative errno. Unknown numbers get -EPERM. A call that ends the
// session records why in the block and calls end_session().
int64_t Dispatch(Calls& calls, uint64_t number, uint64_t a, uint64_t b, uint64_t c, uint64_t d);

// Records the end (first cause wins), takes the memory digest if it is wanted, calls end_session().
void EndSession(Calls& calls, EndCause cause);

}  // namespace zerocloud::runtime
