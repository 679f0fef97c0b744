/* Writes for ever: the limit ends it, as an error of the call. */
/* expect: exited 122 */
#include <errno.h>
#include <string.h>
#include <zvm.h>
int main(void) {
  static char page[4096];
  memset(page, 'x', sizeof page);
  for (;;) {
    const int64_t put = zvm_pwrite(1, page, sizeof page, 0);
    if (put < 0) return (int)-put;
  }
}
