/* WORK generations of Conway's Life on a torus of 256 x 256 bytes: small integers, branches. */
#include <string.h>

#include "kernel.h"

enum { kSize = 256 };
static unsigned char board[kSize][kSize], next[kSize][kSize];

static NOINLINE void generation(void) {
  for (unsigned y = 0; y < kSize; ++y) {
    const unsigned char *up = board[(y - 1) % kSize], *at = board[y],
                        *down = board[(y + 1) % kSize];
    for (unsigned x = 0; x < kSize; ++x) {
      const unsigned left = (x - 1) % kSize, right = (x + 1) % kSize;
      const int around =
          up[left] + up[x] + up[right] + at[left] + at[right] + down[left] + down[x] + down[right];
      next[y][x] = around == 3 || (around == 2 && at[x]);
    }
  }
  memcpy(board, next, sizeof board);
}

int main(int argc, char** argv) {
  const long work = kernel_work(argc, argv);
  uint64_t seed = 17;
  for (int y = 0; y < kSize; ++y) {
    for (int x = 0; x < kSize; ++x) board[y][x] = kernel_random(&seed) % 3 == 0;
  }
  for (long i = 0; i < work; ++i) generation();
  uint64_t sum = 0;
  for (int y = 0; y < kSize; ++y) {
    for (int x = 0; x < kSize; ++x) sum = sum * 31 + board[y][x];
  }
  printf("%016llx\n", (unsigned long long)sum);
  return 0;
}
