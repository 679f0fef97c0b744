/* Runs for ever. */
/* expect: timed_out */
int main(void) {
  for (volatile int i = 0;; ++i) {
  }
}
