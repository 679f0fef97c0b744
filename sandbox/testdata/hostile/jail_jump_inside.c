/* Jumps at a system call in the middle of an instruction of code that was accepted: the jump is
 * masked to the start of the bundle, a mov, and runs from there to the trap at its end. */
/* expect: faulted 5 */
#include <stdlib.h>
#include <string.h>
#include <zvm.h>

int main(void) {
  char* const code = aligned_alloc(65536, 65536);
  memset(code, 0xcc, 4096);
  memcpy(code, "\x48\xb8\x0f\x05\x0f\x05\x0f\x05\x0f\x05",
         10); /* movabs: an immediate of syscalls */
  if (zvm_jail(code, 4096) != 0) return 1;
  ((void (*)(void))(code + 2))();
  return 0;
}
