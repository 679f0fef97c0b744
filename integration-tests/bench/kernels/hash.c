/* Counts WORK made-up words in a chained hash table: malloc, strlen, strcmp, memcpy. */
#include <string.h>

#include "kernel.h"

struct entry {
  struct entry* next;
  unsigned count;
  char word[];
};

enum { kBuckets = 1 << 14 };
static struct entry* buckets[kBuckets];

static NOINLINE uint32_t hash(const char* word) {
  uint32_t h = 2166136261u;
  for (; *word != '\0'; ++word) h = (h ^ (unsigned char)*word) * 16777619u;
  return h;
}

static NOINLINE void count(const char* word) {
  struct entry** at = &buckets[hash(word) % kBuckets];
  for (; *at != NULL; at = &(*at)->next) {
    if (strcmp((*at)->word, word) == 0) {
      ++(*at)->count;
      return;
    }
  }
  const size_t size = strlen(word) + 1;
  *at = malloc(sizeof **at + size);
  if (*at == NULL) exit(3);
  (*at)->next = NULL;
  (*at)->count = 1;
  memcpy((*at)->word, word, size);
}

int main(int argc, char** argv) {
  const long work = kernel_work(argc, argv);
  uint64_t seed = 11;
  for (long i = 0; i < work; ++i) {
    uint64_t bits = kernel_random(&seed) % (i % 4 == 0 ? 200000 : 3000);
    char word[24];
    size_t length = 0;
    do {
      word[length++] = (char)('a' + bits % 26);
      bits /= 3;
    } while (bits > 0);
    word[length] = '\0';
    count(word);
  }
  unsigned long words = 0, most = 0;
  for (int i = 0; i < kBuckets; ++i) {
    for (const struct entry* e = buckets[i]; e != NULL; e = e->next) {
      ++words;
      if (e->count > most) most = e->count;
    }
  }
  printf("%lu %lu\n", words, most);
  return 0;
}
