/* Writes before and after a fork, and checks what a fork keeps: registers, memory, the stack, the
 * rounding mode. The exit code is 7 when all is as it was. */
#include <fenv.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zvm.h>

static int initialised = 41;
static int zeroed;

int main(void) {
  char* heap = malloc(3 << 20);
  heap[0] = 'a';
  heap[2 << 20] = 'b';
  char local[100000];
  memset(local, 'c', sizeof local);
  initialised = 0; /* the image has 41 there */
  zeroed = 5;
  fesetround(FE_UPWARD);
  zvm_pwrite(2, "before fork!!\n", 14, 0);
  const int32_t result = zvm_fork();
  if (result != 0) return 1;
  if (initialised != 0 || zeroed != 5) return 2;
  if (heap[0] != 'a' || heap[1 << 20] != 0 || heap[2 << 20] != 'b') return 3;
  for (size_t i = 0; i < sizeof local; ++i)
    if (local[i] != 'c') return 4;
  if (fegetround() != FE_UPWARD) return 5;
  zvm_pwrite(2, "after", 5, 0);
  char line[64] = "";
  const long size = zvm_pread(0, line, sizeof line, 0);
  zvm_pwrite(1, line, size > 0 ? size : 0, 0);
  return 7;
}
