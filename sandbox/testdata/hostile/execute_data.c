/* Calls code that it has in data. */
/* expect: faulted 11 */
static unsigned char code[64] __attribute__((aligned(32))) = {0x90, 0x90, 0xc3};
int main(void) {
  /* volatile: or the compiler calls the data directly, which is refused before it runs. */
  void (*volatile function)(void) = (void (*)(void))(unsigned long)code;
  function();
  return 0;
}
