/* Chunks of random sizes until none is left; each full of its own address. Then all is given back,
 * and the largest chunk there is fits again. */
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

struct chunk {
  struct chunk* next;
  size_t words;
  uintptr_t word[];
};

static struct chunk* fill(size_t words) {
  struct chunk* const chunk = malloc(sizeof *chunk + words * sizeof *chunk->word);
  if (chunk == NULL) return NULL;
  chunk->words = words;
  for (size_t i = 0; i < words; ++i) chunk->word[i] = (uintptr_t)&chunk->word[i];
  return chunk;
}

/* How much was had in chunks of at most `most` words, or -1. */
static long long round_of(uint32_t most) {
  struct chunk* all = NULL;
  long long had = 0;
  uint32_t seed = most;
  for (;;) {
    seed = seed * 1664525 + 1013904223;
    struct chunk* const chunk = fill(seed % most);
    if (chunk == NULL) break;
    chunk->next = all;
    all = chunk;
    had += (long long)(chunk->words * sizeof *chunk->word);
  }
  if (errno != ENOMEM) return -1;
  while (all != NULL) {
    struct chunk* const chunk = all;
    for (size_t i = 0; i < chunk->words; ++i)
      if (chunk->word[i] != (uintptr_t)&chunk->word[i]) return -1;
    all = chunk->next;
    free(chunk);
  }
  return had;
}

int main(void) {
  /* Memory is 256 MiB, of which 16 are the stack. A large chunk is of whole 64 KiB, and the next
   * may just not fit, so not every byte can be had. Chunks are freed in another order than they
   * came: if neighbours did not become one again, later rounds would find next to nothing. */
  const long long mib = 1 << 20;
  static const struct {
    uint32_t most;
    int least; /* MiB */
  } rounds[] = {{1 << 20, 200}, {1 << 14, 160}, {1 << 20, 200}, {1 << 23, 100}, {1 << 14, 160}};
  for (unsigned i = 0; i < sizeof rounds / sizeof *rounds; ++i) {
    const long long had = round_of(rounds[i].most);
    if (had < 0) return 1;
    printf("up to %u words: %s\n", rounds[i].most,
           had > rounds[i].least * mib && had < 240 * mib ? "all" : "not all");
  }
  void* const large = malloc((size_t)(160 * mib));
  printf("one of 160 MiB: %s\n", large != NULL ? "fits" : "does not fit");
  free(large);
  return 0;
}
