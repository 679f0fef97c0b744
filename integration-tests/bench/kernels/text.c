/* Formats, splits, searches and parses WORK lines: the C library's own code. */
#include <string.h>

#include "kernel.h"

int main(int argc, char** argv) {
  const long work = kernel_work(argc, argv);
  uint64_t seed = 23, sum = 0;
  for (long i = 0; i < work; ++i) {
    char line[160], copy[160];
    const uint64_t bits = kernel_random(&seed);
    const int length =
        snprintf(line, sizeof line, "%ld,%s,%08x,%lld,a field with some words in it,%u", i,
                 bits & 1 ? "odd" : "even", (unsigned)(bits >> 32), (long long)(bits >> 20),
                 (unsigned)(bits % 97));
    memcpy(copy, line, (size_t)length + 1);
    char* rest = NULL;
    for (char* field = strtok_r(copy, ",", &rest); field != NULL;
         field = strtok_r(NULL, ",", &rest)) {
      sum = sum * 31 + strlen(field) + strtoull(field, NULL, 16);
    }
    if (strstr(line, "7,a field") != NULL) sum += (unsigned long)length;
  }
  printf("%016llx\n", (unsigned long long)sum);
  return 0;
}
