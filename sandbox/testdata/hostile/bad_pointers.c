/* Hands the host every kind of bad pointer, size, handle and call. */
/* expect: exited 0 */
#include <errno.h>
#include <zvm.h>
typedef int64_t (*gate)(uint64_t, uint64_t, uint64_t, uint64_t, uint64_t);
int main(void) {
  static const uint64_t bad[] = {0,         1,        0xffff,     0x10000,
                                 0x20000,   0x400000, 0xfeffffff, 0x100000000,
                                 1ul << 47, ~0ul,     ~0ul - 100, 1ul << 63};
  for (unsigned i = 0; i < sizeof bad / sizeof *bad; ++i) {
    void* pointer = (void*)bad[i];
    if (zvm_pread(0, pointer, 4096, 0) != -EINVAL) return 1;
    if (zvm_pread(0, pointer, INT64_MAX, 0) != -EINVAL) return 2;
    if (zvm_pread((int32_t)bad[i] | 0x10000000, &pointer, 8, 0) != -EINVAL) return 3;
    if (zvm_pwrite(1, (void*)(bad[i] | 1ul << 40), 8, 0) != -EINVAL) return 4;
    if (((gate)(uintptr_t)ZVM_GATE_ADDRESS)(bad[i], ~0ul, ~0ul, ~0ul, ~0ul) != -EPERM) return 5;
  }
  if (zvm_pread(0, &(char){0}, -1, 0) != -EFAULT) return 6;
  if (zvm_jail((void*)0x400000, 65536) != -EINVAL) return 7;
  if (zvm_unjail((void*)0x400000, 65536) != -EINVAL) return 8;
  if (zvm_fork() != 0) return 9;
  return 0;
}
