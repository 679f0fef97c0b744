/* The mapper: counts the words of its object and sends each count to that word's reducer. */
#include <stdlib.h>
#include <string.h>

#include "words.h"

/* Eight bytes of text at once, the first in the lowest byte. */
#define EACH(byte) ((byte) * 0x0101010101010101u)

static uint64_t load(const unsigned char* text) {
  uint64_t eight;
  memcpy(&eight, text, 8);
  return eight;
}

static uint64_t lower(uint64_t eight) { return eight | EACH(0x20); }

/* The highest bit of each byte that is a letter. */
static uint64_t letters(uint64_t eight) {
  const uint64_t ascii = lower(eight) & EACH(0x7f);
  const uint64_t from_a = ascii + EACH(0x80 - 'a'), beyond_z = ascii + EACH(0x80 - 'z' - 1);
  return from_a & ~beyond_z & ~eight & EACH(0x80);
}

/* Of eight bytes those before the first that `marks` has, as a number from 0 to 8. */
static size_t bytes_before(uint64_t marks) {
  return marks == 0 ? 8 : (size_t)__builtin_ctzll(marks) / 8;
}

/* Letters from `text` on; what follows them is no letter. */
static size_t length_of(const unsigned char* text) {
  for (size_t length = 0;; length += 8) {
    const size_t more = bytes_before(~letters(load(text + length)) & EACH(0x80));
    if (more < 8) return length + more;
  }
}

/* Counts the words of text[0, size), behind which there are nine bytes that are no letters.
 * Returns where a word begins that the end may have cut, or size. */
static size_t count_piece(struct words* words, unsigned char* text, size_t size) {
  for (size_t at = 0; at < size;) {
    const uint64_t eight = load(text + at), marks = letters(eight);
    size_t length = bytes_before(~marks & EACH(0x80));
    if (length == 0) {
      at += bytes_before(marks);
      continue;
    }
    if (length == 8) length += length_of(text + at + 8);
    if (at + length >= size) return at;
    if (length <= 8) {
      words_add_short(words, lower(eight) & ~(uint64_t)0 >> (64 - 8 * length), length, 1);
    } else {
      for (size_t i = at; i < at + length; ++i) text[i] |= 0x20;
      words_add(words, (char*)text + at, length, 1);
    }
    at += length + 1; /* what follows a word is none */
  }
  return size;
}

static int count_words(struct words* words, FILE* in) {
  size_t room = 1 << 16, kept = 0, got;
  unsigned char* text = malloc(room + 9);
  while (text != NULL && (got = fread(text + kept, 1, room - kept, in)) > 0) {
    const size_t size = kept + got;
    memset(text + size, ' ', 9);
    const size_t cut = count_piece(words, text, size);
    kept = size - cut;
    memmove(text, text + cut, kept);
    if (kept * 2 > room) text = realloc(text, (room *= 2) + 9); /* a very long word */
  }
  if (text == NULL) return -1;
  memset(text + kept, ' ', 10); /* the first ends the last word */
  count_piece(words, text, kept + 1);
  free(text);
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
    fprintf(out[sorted[i].hash % reducers.count], "%s\t%llu\n", sorted[i].text,
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
