/* Looks for what trusted code left in registers. */
/* expect: exited 0 */
#include <zvm.h>
int main(void) {
  static uint64_t general[8];
  static uint64_t vectors[32];
  static const char text[] = "residue";
  uint64_t number = ZVM_CALL_PWRITE, one = 1, address = (uint64_t)text, size = sizeof text,
           zero = 0;
  register uint64_t r8 __asm__("r8") = zero;
  __asm__ volatile(
      "movl $0x10000, %%eax\n\t"
      "call *%%rax\n\t"
      "movq %%rcx, 0(%[general])\n\t"
      "movq %%rdx, 8(%[general])\n\t"
      "movq %%rsi, 16(%[general])\n\t"
      "movq %%rdi, 24(%[general])\n\t"
      "movq %%r8, 32(%[general])\n\t"
      "movq %%r9, 40(%[general])\n\t"
      "movq %%r10, 48(%[general])\n\t"
      "movq %%r11, 56(%[general])\n\t"
      "movups %%xmm0, 0(%[vectors])\n\t"
      "movups %%xmm1, 16(%[vectors])\n\t"
      "movups %%xmm2, 32(%[vectors])\n\t"
      "movups %%xmm3, 48(%[vectors])\n\t"
      "movups %%xmm7, 64(%[vectors])\n\t"
      "movups %%xmm8, 80(%[vectors])\n\t"
      "movups %%xmm15, 96(%[vectors])"
      : "+D"(number), "+S"(one), "+d"(address), "+c"(size), "+r"(r8)
      : [general] "b"(general), [vectors] "r"((uint64_t)vectors)
      : "rax", "r9", "r10", "r11", "memory", "xmm0", "xmm1", "xmm2", "xmm3", "xmm7", "xmm8",
        "xmm15");
  for (int i = 0; i < 8; ++i) {
    if (general[i] != 0) return 1 + i;
  }
  for (int i = 0; i < 32; ++i) {
    if (vectors[i] != 0) return 16 + i;
  }
  return 0;
}
