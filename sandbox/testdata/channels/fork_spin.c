/* Forks, and then uses up memory, and keeps it, if its input begins with m; and then processor
 * time. */
#include <stdlib.h>
#include <zvm.h>

int main(void) {
  if (zvm_fork() != 0) return 1;
  char order = 0;
  zvm_pread(0, &order, 1, 0);
  if (order == 'm') {
    volatile char* memory = malloc(32 << 20);
    for (long at = 0; at < 32 << 20; at += 4096) memory[at] = 1;
  }
  for (volatile int i = 0;; ++i) {
  }
}
