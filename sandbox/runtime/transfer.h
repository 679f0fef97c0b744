// The host's part of a pread or pwrite: moving bytes between guest memory and the sources of one
// channel. TRUSTED. Freestanding, one thread.
//
// A channel has one source or several. Several sources of a readable channel vote: the bytes are
// taken in pieces, each from the sources in their order until two agree. A source that fails is not
// asked again; one that disagrees only loses that vote. What is written goes to every source.
#pragma once

#include <stdint.h>

#include "sandbox/runtime/session_block.h"

namespace zerocloud::runtime {

// How a transfer on the host ended.
struct Transfer {
  int64_t bytes = 0;       // moved, from the front
  int64_t host_errno = 0;  // > 0 when the host refused; what was moved before counts not
};

// No two sources agree. (EBADMSG)
inline constexpr int64_t kErrnoNoAgreement = 74;

// Reads `size` bytes or up to the end of the channel. The descriptor of source i is
// first_descriptor + channel.first_source + i. `host_address` is memory that the guest may write,
// or the caller's own.
Transfer ReadSources(BlockChannel& channel, int first_descriptor, uint64_t host_address,
                     int64_t size, int64_t offset);

// Writes all `size` bytes to every source, or fails.
Transfer WriteSources(const BlockChannel& channel, int first_descriptor, uint64_t host_address,
                      int64_t size, int64_t offset);

}  // namespace zerocloud::runtime
