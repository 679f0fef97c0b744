/* Calls a function that it wrote to the stack. */
/* expect: faulted 11 */
int main(void) {
  volatile unsigned char code[64] __attribute__((aligned(32)));
  for (int i = 0; i < 64; ++i) code[i] = 0x90;
  ((void (*)(void))(unsigned long)code)();
  return 0;
}
