/* Enters the gate with rsp at 0: the fault in the gate's own return is the guest's. */
/* expect: faulted 11 */
int main(void) {
  __asm__ volatile(
      "movl $0, %esp\n\t"
      "movl $0x10000, %eax\n\t"
      "jmp *%rax");
  return 0;
}
