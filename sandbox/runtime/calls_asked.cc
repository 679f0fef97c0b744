#include "sandbox/runtime/calls_asked.h"

#include <asm/errno.h>

#include "sandbox/runtime/sys.h"

namespace zerocloud::runtime {
namespace {

// Moves all of it, in pieces as the kernel likes. An errno > 0, also where the other end is closed.
int64_t MoveAll(int64_t call, int descriptor, uint64_t host_address, int64_t size) {
  int64_t moved = 0;
  while (moved < size) {
    const int64_t done =
        Sys(call, static_cast<uint64_t>(descriptor), host_address + static_cast<uint64_t>(moved),
            static_cast<uint64_t>(size - moved));
    if (done == -EINTR) continue;
    // Whatever it is, part of an answer may be left in the socket.
    if (done <= 0) return EIO;
    moved += done;
  }
  return 0;
}

}  // namespace

int64_t ReadAsked(int descriptor, uint64_t host_address, int64_t size, int64_t offset) {
  const AskedRange range = {offset, size};
  const int64_t failed = MoveAll(SYS_write, descriptor, Address(&range), sizeof range);
  return failed != 0 ? failed : MoveAll(SYS_read, descriptor, host_address, size);
}

}  // namespace zerocloud::runtime
