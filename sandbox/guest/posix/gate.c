/* The six calls of zvm.h: function calls to the gate page. The address is hidden from the compiler,
 * so that it makes an indirect call, which is the only way out of the text of a guest. */
#include <zvm.h>

typedef int64_t gate_function(uint64_t call, uint64_t a, uint64_t b, uint64_t c, uint64_t d);

static inline int64_t gate(uint64_t call, uint64_t a, uint64_t b, uint64_t c, uint64_t d) {
  uintptr_t address = ZVM_GATE_ADDRESS;
  __asm__("" : "+r"(address));
  return ((gate_function*)address)(call, a, b, c, d);
}

int64_t zvm_pread(int32_t desc, void* buffer, int64_t size, int64_t offset) {
  return gate(ZVM_CALL_PREAD, (uint64_t)desc, (uintptr_t)buffer, (uint64_t)size, (uint64_t)offset);
}

int64_t zvm_pwrite(int32_t desc, const void* buffer, int64_t size, int64_t offset) {
  return gate(ZVM_CALL_PWRITE, (uint64_t)desc, (uintptr_t)buffer, (uint64_t)size, (uint64_t)offset);
}

int32_t zvm_jail(void* buffer, uint64_t size) {
  return (int32_t)gate(ZVM_CALL_JAIL, (uintptr_t)buffer, size, 0, 0);
}

int32_t zvm_unjail(void* buffer, uint64_t size) {
  return (int32_t)gate(ZVM_CALL_UNJAIL, (uintptr_t)buffer, size, 0, 0);
}

int32_t zvm_fork(void) { return (int32_t)gate(ZVM_CALL_FORK, 0, 0, 0, 0); }

void zvm_exit(int32_t code) {
  gate(ZVM_CALL_EXIT, (uint64_t)code, 0, 0, 0);
  __builtin_trap();
}
