/* The Tak function and Fibonacci's, for WORK: nothing but calls and returns. */
#include "kernel.h"

static NOINLINE long fibonacci(long n) { return n < 2 ? n : fibonacci(n - 1) + fibonacci(n - 2); }

static NOINLINE int tak(int x, int y, int z) {
  return y >= x ? z : tak(tak(x - 1, y, z), tak(y - 1, z, x), tak(z - 1, x, y));
}

int main(int argc, char** argv) {
  const int work = (int)kernel_work(argc, argv);
  printf("%ld %d\n", fibonacci(work), tak(work / 2, work / 4, 0));
  return 0;
}
