/* Calls unjail from code that unjail makes data: there is nothing to return to. */
/* expect: faulted 11 */
#include <stdlib.h>
#include <string.h>
#include <zvm.h>

int main(void) {
  char* const code = aligned_alloc(65536, 65536);
  memset(code, 0x90, 4096);
  /* A bundle that ends with the call of the gate: mov $0x10000, %eax; and $-32, %eax; call *%rax.
   */
  memcpy(code + 20, "\xb8\x00\x00\x01\x00", 5);
  memcpy(code + 27, "\x83\xe0\xe0\xff\xd0", 5);
  if (zvm_jail(code, 4096) != 0) return 1;
  typedef void (*entry)(uint64_t, uintptr_t, uint64_t);
  ((entry)code)(ZVM_CALL_UNJAIL, (uintptr_t)code, 4096);
  return 0;
}
