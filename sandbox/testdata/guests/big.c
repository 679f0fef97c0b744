/* A large program: 8 MiB of constants, 8 of variables, 128 of zeros, and the ends of each. */
#include <stdio.h>
#include <string.h>

enum { MIB = 1 << 20 };
static const int constants[2 * MIB] = {[0] = 1, [2 * MIB - 1] = 2};
static int variables[2 * MIB] = {[0] = 3, [2 * MIB - 1] = 4};
static char zeros[128 * MIB];

int main(void) {
  volatile int last = 2 * MIB - 1, end = 128 * MIB - 1;
  printf("%d %d %d %d %d\n", constants[0], constants[last], variables[0], variables[last],
         zeros[end]);
  variables[last] = 5;
  memset(zeros, 1, sizeof zeros);
  printf("%d %d\n", variables[last], zeros[end]);
  return 0;
}
