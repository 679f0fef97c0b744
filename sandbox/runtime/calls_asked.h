// Reading a channel that the host fills as it is asked: its descriptor is a socket, and whoever
// holds the other end answers each question with just the bytes it names. For inputs of which a
// guest may want little (objects behind HTTP). Part of the calls; freestanding.
#pragma once

#include <stdint.h>

namespace zerocloud::runtime {

// What is sent, as it lies in memory: size > 0 bytes from `offset` are wanted, all within the
// channel. The answer is these bytes and nothing else; a host that has not got them closes its end.
struct AskedRange {
  int64_t offset;
  int64_t size;
};

// Returns 0, or an errno > 0 after which the channel is of no use: the session must end.
int64_t ReadAsked(int descriptor, uint64_t host_address, int64_t size, int64_t offset);

}  // namespace zerocloud::runtime
