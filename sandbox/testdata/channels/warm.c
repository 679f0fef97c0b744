/* Fills 4 MiB in 1 MiB steps and data, forks, and reads a little of it: what an interpreter does
 * that has started. For benchmarks and tests. */
#include <stdlib.h>
#include <string.h>
#include <zvm.h>

int main(void) {
  char* blocks[4];
  for (int i = 0; i < 4; ++i) {
    blocks[i] = malloc(1 << 20);
    memset(blocks[i], i + 1, 1 << 20);
  }
  if (zvm_fork() != 0) return 1;
  int sum = 0;
  for (int i = 0; i < 4; ++i) sum += blocks[i][12345 * (i + 1)];
  return sum - 10;
}
