/* Enters the gate with traps unmasked and an x87 exception pending, and with the direction flag
 * set: trusted code does not notice, and leaves the guest's state as it was. */
/* expect: exited 0 */
#include <zvm.h>
int main(void) {
  unsigned short control = 0x0340, after = 0;   /* every x87 exception unmasked */
  unsigned int mxcsr = 0x0000, mxcsr_after = 1; /* every SSE exception unmasked */
  __asm__ volatile("fninit\n\tfld1\n\tfldz\n\tfldcw %0" ::"m"(control));
  __asm__ volatile("fdivrp" ::
                       : "memory"); /* pending: the next waiting x87 instruction would trap */
  __asm__ volatile("ldmxcsr %0" ::"m"(mxcsr));
  __asm__ volatile("std");
  const int64_t put = zvm_pwrite(1, "x", 1, 0);
  __asm__ volatile("cld");
  __asm__ volatile("fnstcw %0\n\tstmxcsr %1" : "=m"(after), "=m"(mxcsr_after));
  if (put != 1) return 1;
  if ((after & 0x033f) != (control & 0x033f)) return 2;
  if (mxcsr_after != mxcsr) return 3;
  double kept = 0;
  __asm__ volatile("fninit\n\tfld1");
  if (zvm_pwrite(1, "x", 1, 0) != 1) return 4;
  __asm__ volatile("fstpl %0" : "=m"(kept));
  return kept == 1 ? 0 : 5;
}
