/* The Mandelbrot set, WORK x WORK points, at most 100 steps each: floating point and branches. */
#include "kernel.h"

static NOINLINE int steps(double cx, double cy) {
  double x = 0, y = 0;
  int n = 0;
  while (n < 100 && x * x + y * y < 4) {
    const double next = x * x - y * y + cx;
    y = 2 * x * y + cy;
    x = next;
    ++n;
  }
  return n;
}

int main(int argc, char** argv) {
  const long work = kernel_work(argc, argv);
  uint64_t sum = 0;
  for (long i = 0; i < work; ++i) {
    for (long j = 0; j < work; ++j) {
      sum = sum * 3 + (uint64_t)steps(3.0 * (double)j / (double)work - 2.25,
                                      3.0 * (double)i / (double)work - 1.5);
    }
  }
  printf("%llx\n", (unsigned long long)sum);
  return 0;
}
