/* The reducer: sums the counts of its words. The counts become an object, a summary the answer. */
#include <string.h>

#include "words.h"

int main(int argc, char** argv) {
  struct words words = {NULL, 0, 0};
  const struct paths mappers = paths_in("/dev/in", "map");
  for (size_t i = 0; i < mappers.count; ++i) {
    FILE* in = fopen(mappers.names[i], "r");
    if (in == NULL) {
      perror(mappers.names[i]);
      return 1;
    }
    if (words_add_stream(&words, in, mappers.names[i]) != 0) return 1;
    fclose(in);
  }
  FILE* out = fopen("/dev/output", "w");
  if (out == NULL) {
    perror("/dev/output");
    return 1;
  }
  uint64_t total = 0;
  struct word* sorted = words_sorted(&words, by_text);
  for (size_t i = 0; i < words.used; ++i) {
    fprintf(out, "%s\t%llu\n", sorted[i].text, (unsigned long long)sorted[i].count);
    total += sorted[i].count;
  }
  if (fclose(out) != 0) {
    perror("/dev/output");
    return 1;
  }
  printf("%s: %zu mappers, %llu words, %zu of them different\n", argc > 0 ? argv[0] : "reduce",
         mappers.count, (unsigned long long)total, words.used);
  return 0;
}
