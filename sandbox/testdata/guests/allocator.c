/* Many sizes and alignments, allocated, grown, shrunk and freed in random order: nothing overlaps,
 * calloc gives zeros, and all of it can be given back again and again. */
#include <malloc.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { COUNT = 2000, ROUNDS = 200000 };
static unsigned char* blocks[COUNT];
static size_t sizes[COUNT];
static unsigned char marks[COUNT];

static uint64_t state = 88172645463325252u;
static uint64_t number(void) {
  state ^= state << 13;
  state ^= state >> 7;
  state ^= state << 17;
  return state;
}

static void fail(const char* what, int k) {
  printf("%s: block %d of %zu bytes\n", what, k, sizes[k]);
  exit(1);
}

/* All of a small block, some of a large one and its last byte. */
static void check(int k, size_t size) {
  const size_t step = size > 4096 ? size / 64 : 1;
  for (size_t i = 0; i < size; i += step)
    if (blocks[k][i] != marks[k]) fail("changed", k);
  if (size > 0 && size == sizes[k] && blocks[k][size - 1] != marks[k]) fail("changed", k);
  if (malloc_usable_size(blocks[k]) < size) fail("too small", k);
}

static void set(int k, void* block, size_t size) {
  blocks[k] = block;
  sizes[k] = size;
  if (block == NULL || (uintptr_t)block % 16 != 0) fail("bad", k);
  marks[k] = (unsigned char)number();
  memset(block, marks[k], size);
}

static size_t some_size(void) {
  const uint64_t kind = number() % 16;
  return number() % (kind == 0 ? 300000 : kind < 3 ? 40000 : 600);
}

int main(void) {
  for (int round = 0; round < ROUNDS; ++round) {
    const int k = (int)(number() % COUNT), kind = (int)(number() % 8);
    const size_t size = some_size();
    if (blocks[k] != NULL) check(k, sizes[k]);
    if (kind == 0 && blocks[k] != NULL) {
      const size_t before = sizes[k];
      blocks[k] = realloc(blocks[k], size + 1);
      check(k, before < size ? before : size);
      set(k, blocks[k], size + 1);
      continue;
    }
    free(blocks[k]);
    if (kind == 1) {
      const size_t alignment = (size_t)1 << number() % 18;
      set(k, aligned_alloc(alignment, size), size);
      if ((uintptr_t)blocks[k] % alignment != 0) fail("not aligned", k);
    } else if (kind == 2) {
      unsigned char* zeros = calloc(size, 1);
      for (size_t i = 0; i < size; ++i)
        if (zeros[i] != 0) fail("not zero", k);
      set(k, zeros, size);
    } else {
      set(k, malloc(size), size);
    }
  }
  for (int k = 0; k < COUNT; ++k) {
    if (blocks[k] != NULL) check(k, sizes[k]);
    free(blocks[k]);
  }
  /* What was given back can be had in one piece, and too much is refused. */
  char* whole = malloc(20 << 20);
  if (whole == NULL) fail("no room", 0);
  free(whole);
  if (malloc(SIZE_MAX) != NULL || malloc((size_t)1 << 40) != NULL) fail("too much", 0);
  if (aligned_alloc(3, 1) != NULL || aligned_alloc(SIZE_MAX / 2 + 1, 1) != NULL) fail("odd", 0);
  puts("good");
  return 0;
}
