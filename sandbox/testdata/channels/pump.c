/* Copies stdin to stdout in pieces of odd sizes up to 1 MiB, and idles now and then. */
#include <zvm.h>

static char buffer[1 << 20];

int main(void) {
  uint32_t seed = 1;
  for (;;) {
    seed = seed * 1664525 + 1013904223;
    const int64_t size = (int64_t)(seed % sizeof buffer) | 1;
    const int64_t got = zvm_pread(0, buffer, size, 0);
    if (got < 0) return (int)-got;
    if (got == 0) return 0;
    if (seed % 5 == 0) {
      for (volatile int i = 0; i < 1000000; ++i) {
      }
    }
    for (int64_t put = 0; put < got;) {
      const int64_t more = zvm_pwrite(1, buffer + put, got - put, 0);
      if (more < 0) return (int)-more;
      put += more;
    }
  }
}
