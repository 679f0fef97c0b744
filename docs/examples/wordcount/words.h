/* Counts of words: what the mapper, the reducer and the ranking share.
 *
 * A word is a run of ASCII letters, in lower case. On channels and in objects a count is a line
 * "word<TAB>count".
 */
#ifndef WORDS_H_
#define WORDS_H_

#include <stdint.h>
#include <stdio.h>

struct word {
  char* text; /* NUL-terminated */
  size_t length;
  uint64_t
      head; /* its first eight letters, the first in the lowest byte; zeros where it has fewer */
  uint64_t hash;
  uint64_t count;
};

struct words {
  struct word* slots; /* open addressing; text == NULL is free */
  size_t capacity;    /* a power of two */
  size_t used;
};

/* Adds to the count of a word: the combiner. Its hash is the same for every session, so that each
 * word has one reducer. Ends the program when memory is out. */
void words_add(struct words* words, const char* text, size_t length, uint64_t count);
/* The same for one that has at most eight letters, by its head alone. */
void words_add_short(struct words* words, uint64_t head, size_t length, uint64_t count);

/* Adds every line of a stream; returns 0, or -1 after a message on a line that is not a count. */
int words_add_stream(struct words* words, FILE* in, const char* name);

/* The words as an array of `words->used`, sorted by `compare`; the caller frees it. */
struct word* words_sorted(const struct words* words, int (*compare)(const void*, const void*));

/* Orders for words_sorted: by text; by falling count, then by text. */
int by_text(const void* a, const void* b);
int by_count(const void* a, const void* b);

/* The names in a directory that begin with a prefix, as whole paths in byte order. */
struct paths {
  char** names;
  size_t count;
};
struct paths paths_in(const char* directory, const char* prefix);

#endif /* WORDS_H_ */
