/* The mapper: counts the words of its object and sends each count to that word's reducer. */
#include <stdlib.h>
#include <string.h>

#include "words.h"

static int is_letter(int c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }

static int count_words(struct words* words, FILE* in) {
  static char buffer[1 << 16];
  char* word = NULL;
  size_t length = 0, room = 0, got;
  while ((got = fread(buffer, 1, sizeof buffer, in)) > 0) {
    for (size_t i = 0; i < got; ++i) {
      const int c = (unsigned char)buffer[i];
      if (!is_letter(c)) {
        if (length > 0) words_add(words, word, length, 1);
        length = 0;
        continue;
      }
      if (length == room) {
        room = room ? room * 2 : 64;
        word = realloc(word, room);
        if (word == NULL) return -1;
      }
      word[length++] = (char)(c | 0x20);
    }
  }
  if (length > 0) words_add(words, word, length, 1);
  free(word);
  return ferror(in) ? -1 : 0;
}

int main(void) {
  FILE* in = fopen("/dev/input", "r");
  struct words words = {NULL, 0, 0};
  if (in == NULL || count_words(&words, in) != 0) {
    perror("/dev/input");
    return 1;
  }
  const struct paths reducers = paths_in("/dev/out", "reduce");
  if (reducers.count == 0) {
    fputs("map: no reducer is connected\n", stderr);
    return 1;
  }
  FILE** out = calloc(reducers.count, sizeof *out);
  for (size_t i = 0; i < reducers.count; ++i) {
    out[i] = fopen(reducers.names[i], "w");
    if (out[i] == NULL) {
      perror(reducers.names[i]);
      return 1;
    }
  }
  struct word* sorted = words_sorted(&words, by_text);
  for (size_t i = 0; i < words.used; ++i) {
    const uint64_t hash = word_hash(sorted[i].text, strlen(sorted[i].text));
    fprintf(out[hash % reducers.count], "%s\t%llu\n", sorted[i].text,
            (unsigned long long)sorted[i].count);
  }
  for (size_t i = 0; i < reducers.count; ++i) {
    if (fclose(out[i]) != 0) {
      perror(reducers.names[i]);
      return 1;
    }
  }
  return 0;
}
