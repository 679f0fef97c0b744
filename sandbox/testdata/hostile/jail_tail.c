/* Runs on behind the end of what it asked to be code: the rest of the page is traps, and what is
 * behind the page cannot be executed. */
/* expect: faulted 5 */
#include <stdlib.h>
#include <string.h>
#include <zvm.h>

int main(void) {
  char* const code = aligned_alloc(65536, 65536);
  memset(code, 0x90, 32);
  memcpy(code + 32, "\x0f\x05", 2); /* syscall */
  if (zvm_jail(code, 32) != 0) return 1;
  ((void (*)(void))code)();
  return 0;
}
