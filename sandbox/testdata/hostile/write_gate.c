/* Replaces the gate. */
/* expect: faulted 11 */
#include <zvm.h>
int main(void) {
  *(volatile unsigned char*)ZVM_GATE_ADDRESS = 0x90;
  return 0;
}
