/* Enters the gate page beside its only entry. */
/* expect: faulted 11 */
#include <zvm.h>
int main(void) {
  ((void (*)(void))(unsigned long)(ZVM_GATE_ADDRESS + 32))();
  return 0;
}
