/* Jumps to the end of its text: what fills the last page up is traps, not zeros, which would be an
 * instruction. */
/* expect: faulted 5 */
enum { kPage = 4096, kBundle = 32, kTrap = 0xcc };

static int is_tail(const unsigned char* bundle) {
  for (int i = 0; i < kBundle; ++i) {
    if (bundle[i] != kTrap) return 0;
  }
  return 1;
}

int main(void) {
  /* The first page from here on that ends with a bundle of traps; behind the text there is none. */
  unsigned long end = (unsigned long)main / kPage * kPage + kPage;
  while (!is_tail((const unsigned char*)end - kBundle)) end += kPage;
  void (*volatile function)(void) = (void (*)(void))(end - kBundle);
  function();
  return 2;
}
