// Touches as many bytes of the heap as the number on standard input says, then exits with 0.
#include <stdio.h>
#include <stdlib.h>

int main(void) {
  long bytes = 0;
  if (scanf("%ld", &bytes) != 1) return 1;
  volatile char* memory = malloc((size_t)bytes);
  if (memory == NULL) return 2;
  for (long at = 0; at < bytes; at += 4096) memory[at] = 1;
  return 0;
}
