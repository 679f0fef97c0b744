/* The smallest program with a C library. */
#include <stdio.h>

int main(void) {
  puts("hello from a guest");
  return 0;
}
