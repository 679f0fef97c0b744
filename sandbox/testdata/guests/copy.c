/* Standard input to standard output by stdio; the number of bytes to standard error. */
#include <stdio.h>

int main(void) {
  static char buffer[10000];
  size_t total = 0, n;
  while ((n = fread(buffer, 1, sizeof buffer, stdin)) > 0) {
    if (fwrite(buffer, 1, n, stdout) != n) return 1;
    total += n;
  }
  fprintf(stderr, "%zu bytes\n", total);
  return ferror(stdin) || fflush(stdout) != 0;
}
