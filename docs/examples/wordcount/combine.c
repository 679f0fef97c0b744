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

static uint64_t mixed(uint64_t hash) {
  hash *= 0x9e3779b97f4a7c15u;
  return hash ^ hash >> 32;
}

static uint64_t head_of(const char* text, size_t length) {
  uint64_t head = 0;
  memcpy(&head, text, length < 8 ? length : 8);
  return head;
}

static int is_same(const struct word* word, const char* text, size_t length, uint64_t head) {
  if (word->head != head || word->length != length) return 0;
  return length <= 8 || memcmp(word->text + 8, text + 8, length - 8) == 0;
}

static struct word* slot_of(const struct words* words, const char* text, size_t length,
                            uint64_t head, uint64_t hash) {
  for (size_t at = hash;; ++at) {
    struct word* slot = &words->slots[at & (words->capacity - 1)];
    if (slot->text == NULL || is_same(slot, text, length, head)) return slot;
  }
}

static void grow(struct words* words) {
  const struct words old = *words;
  words->capacity = old.capacity ? old.capacity * 2 : 512;
  words->slots = must_allocate(calloc(words->capacity, sizeof *words->slots));
  for (size_t i = 0; i < old.capacity; ++i) {
    const struct word* word = &old.slots[i];
    if (word->text != NULL)
      *slot_of(words, word->text, word->length, word->head, word->hash) = *word;
  }
  free(old.slots);
}

static void add(struct words* words, const char* text, size_t length, uint64_t head, uint64_t hash,
                uint64_t count) {
  if (words->used * 2 >= words->capacity) grow(words);
  struct word* slot = slot_of(words, text, length, head, hash);
  slot->count += count;
  if (slot->text != NULL) return;
  slot->text = must_allocate(malloc(length + 1));
  memcpy(slot->text, text, length);
  slot->text[length] = '\0';
  slot->length = length;
  slot->head = head;
  slot->hash = hash;
  ++words->used;
}

void words_add_short(struct words* words, uint64_t head, size_t length, uint64_t count) {
  add(words, (const char*)&head, length, head, mixed(head), count);
}

void words_add(struct words* words, const char* text, size_t length, uint64_t count) {
  const uint64_t head = head_of(text, length);
  uint64_t hash = mixed(head);
  for (size_t at = 8; at < length; at += 8) hash = mixed(hash ^ head_of(text + at, length - at));
  add(words, text, length, head, hash, count);
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
