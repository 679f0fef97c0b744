/* The same with a direct call: it leaves the text, so the program is refused. */
/* expect: rejected V17 */
static unsigned char code[64] __attribute__((aligned(32))) = {0x90, 0x90, 0xc3};
int main(void) {
  ((void (*)(void))(unsigned long)code)();
  return 0;
}
