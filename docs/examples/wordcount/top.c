/* The most frequent words: of an object with counts (sent on to the sessions called "top", if there
 * are any), or of what other sessions sent. Usage: top NUMBER */
#include <stdlib.h>

#include "words.h"

static int add_file(struct words* words, const char* name) {
  FILE* in = fopen(name, "r");
  if (in == NULL) {
    perror(name);
    return -1;
  }
  const int result = words_add_stream(words, in, name);
  fclose(in);
  return result;
}

int main(int argc, char** argv) {
  const long wanted = argc > 1 ? strtol(argv[1], NULL, 10) : 10;
  struct words words = {NULL, 0, 0};
  const struct paths senders = paths_in("/dev/in", "");
  size_t sources = 0;
  for (size_t i = 0; i < senders.count; ++i) {
    if (senders.names[i][sizeof "/dev/in/" - 1] == '.') continue;
    if (add_file(&words, senders.names[i]) != 0) return 1;
    ++sources;
  }
  if (sources == 0 && add_file(&words, "/dev/input") != 0) return 1;

  const struct paths next = paths_in("/dev/out", "top");
  FILE* out = next.count > 0 ? fopen(next.names[0], "w") : stdout;
  if (out == NULL) {
    perror(next.names[0]);
    return 1;
  }
  struct word* sorted = words_sorted(&words, by_count);
  for (size_t i = 0; i < words.used && i < (size_t)wanted; ++i) {
    fprintf(out, "%s\t%llu\n", sorted[i].text, (unsigned long long)sorted[i].count);
  }
  return fclose(out) == 0 ? 0 : 1;
}
