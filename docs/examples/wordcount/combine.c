/* The combiner: a table of counts. The mapper links it, so that each word leaves a mapper once. */
#include <dirent.h>
#include <stdlib.h>
#include <string.h>

#include "words.h"

static void* must_allocate(void* memory) {
  if (memory == NULL) {
    fputs("out of memory\n", stderr);
    exit(3);
  }
  return memory;
}

uint64_t word_hash(const char* text, size_t length) {
  uint64_t hash = 14695981039346656037u; /* FNV-1a */
  for (size_t i = 0; i < length; ++i) {
    hash ^= (unsigned char)text[i];
    hash *= 1099511628211u;
  }
  return hash;
}

static struct word* slot_of(const struct words* words, const char* text, size_t length) {
  size_t at = word_hash(text, length) >> 7 & (words->capacity - 1);
  for (;; at = (at + 1) & (words->capacity - 1)) {
    struct word* slot = &words->slots[at];
    if (slot->text == NULL) return slot;
    if (strncmp(slot->text, text, length) == 0 && slot->text[length] == '\0') return slot;
  }
}

static void grow(struct words* words) {
  const struct words old = *words;
  words->capacity = old.capacity ? old.capacity * 2 : 4096;
  words->slots = must_allocate(calloc(words->capacity, sizeof *words->slots));
  for (size_t i = 0; i < old.capacity; ++i) {
    if (old.slots[i].text == NULL) continue;
    *slot_of(words, old.slots[i].text, strlen(old.slots[i].text)) = old.slots[i];
  }
  free(old.slots);
}

void words_add(struct words* words, const char* text, size_t length, uint64_t count) {
  if (words->used * 4 >= words->capacity * 3) grow(words);
  struct word* slot = slot_of(words, text, length);
  if (slot->text == NULL) {
    slot->text = must_allocate(malloc(length + 1));
    memcpy(slot->text, text, length);
    slot->text[length] = '\0';
    ++words->used;
  }
  slot->count += count;
}

int words_add_stream(struct words* words, FILE* in, const char* name) {
  char* line = NULL;
  size_t room = 0;
  ssize_t length;
  while ((length = getline(&line, &room, in)) > 0) {
    char* tab = memchr(line, '\t', (size_t)length);
    char* end = NULL;
    const unsigned long long count = tab ? strtoull(tab + 1, &end, 10) : 0;
    if (count == 0 || *end != '\n') {
      fprintf(stderr, "%s: not a count: %.80s\n", name, line);
      free(line);
      return -1;
    }
    words_add(words, line, (size_t)(tab - line), count);
  }
  free(line);
  if (ferror(in)) {
    perror(name);
    return -1;
  }
  return 0;
}

struct word* words_sorted(const struct words* words, int (*compare)(const void*, const void*)) {
  struct word* sorted = must_allocate(malloc((words->used + 1) * sizeof *sorted));
  size_t n = 0;
  for (size_t i = 0; i < words->capacity; ++i) {
    if (words->slots[i].text != NULL) sorted[n++] = words->slots[i];
  }
  qsort(sorted, n, sizeof *sorted, compare);
  return sorted;
}

int by_text(const void* a, const void* b) {
  return strcmp(((const struct word*)a)->text, ((const struct word*)b)->text);
}

int by_count(const void* a, const void* b) {
  const struct word *left = a, *right = b;
  if (left->count != right->count) return left->count < right->count ? 1 : -1;
  return by_text(a, b);
}

static int by_name(const void* a, const void* b) {
  return strcmp(*(char* const*)a, *(char* const*)b);
}

struct paths paths_in(const char* directory, const char* prefix) {
  struct paths paths = {NULL, 0};
  DIR* entries = opendir(directory);
  if (entries == NULL) return paths;
  const struct dirent* entry;
  while ((entry = readdir(entries)) != NULL) {
    if (strncmp(entry->d_name, prefix, strlen(prefix)) != 0) continue;
    const size_t size = strlen(directory) + strlen(entry->d_name) + 2;
    paths.names = must_allocate(realloc(paths.names, (paths.count + 1) * sizeof *paths.names));
    paths.names[paths.count] = must_allocate(malloc(size));
    snprintf(paths.names[paths.count++], size, "%s/%s", directory, entry->d_name);
  }
  closedir(entries);
  if (paths.count > 0) qsort(paths.names, paths.count, sizeof *paths.names, by_name);
  return paths;
}
