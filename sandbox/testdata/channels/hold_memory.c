/* Touches 64 MiB and keeps them until somebody ends it. */
#include <stdlib.h>

int main(void) {
  enum { kSize = 64 << 20, kPage = 4096 };
  volatile char* memory = malloc(kSize);
  if (memory == NULL) return 1;
  for (;;) {
    for (int at = 0; at < kSize; at += kPage) ++memory[at];
  }
}
