/* Copies stdin to stdout in pieces of 4000 bytes, and says so on stderr. */
#include <zvm.h>

int main(void) {
  static char buffer[4000];
  for (;;) {
    const int64_t got = zvm_pread(0, buffer, sizeof buffer, 0);
    if (got < 0) return (int)-got;
    if (got == 0) break;
    for (int64_t put = 0; put < got;) {
      const int64_t more = zvm_pwrite(1, buffer + put, got - put, 0);
      if (more < 0) return (int)-more;
      put += more;
    }
  }
  return zvm_pwrite(2, "copied", 6, 0) == 6 ? 0 : 1;
}
