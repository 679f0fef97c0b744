/* WORK products of 128 x 128 matrices of doubles: floating point over arrays. */
#include "kernel.h"

enum { kSize = 128 };
static double a[kSize][kSize], b[kSize][kSize], c[kSize][kSize];

static NOINLINE void multiply(void) {
  for (int i = 0; i < kSize; ++i) {
    for (int j = 0; j < kSize; ++j) c[i][j] = 0;
    for (int k = 0; k < kSize; ++k) {
      const double left = a[i][k];
      for (int j = 0; j < kSize; ++j) c[i][j] += left * b[k][j];
    }
  }
}

int main(int argc, char** argv) {
  const long work = kernel_work(argc, argv);
  uint64_t seed = 1;
  for (int i = 0; i < kSize; ++i) {
    for (int j = 0; j < kSize; ++j) {
      a[i][j] = (double)(kernel_random(&seed) % 1000) / 1000;
      b[i][j] = (double)(kernel_random(&seed) % 1000) / 1000;
    }
  }
  double trace = 0;
  for (long n = 0; n < work; ++n) {
    multiply();
    for (int i = 0; i < kSize; ++i) {
      trace += c[i][i];
      a[i][(i + n) % kSize] = c[i][i] / kSize;
    }
  }
  printf("%.17g\n", trace);
  return 0;
}
