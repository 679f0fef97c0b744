/* Blocks of all sizes, grown, shrunk and freed in a random order; each keeps its pattern. */
#define _GNU_SOURCE
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define BLOCKS 500

static struct {
  unsigned char* bytes;
  size_t size;
} blocks[BLOCKS];

static uint32_t state = 1;

static uint32_t next(void) {
  state = state * 1664525u + 1013904223u;
  return state >> 8;
}

static size_t some_size(void) {
  switch (next() % 8) {
    case 0:
      return next() % 300000;
    case 1:
      return next() % 20000;
    default:
      return next() % 500;
  }
}

static int good(int i, size_t size) {
  for (size_t k = 0; k < size; ++k) {
    if (blocks[i].bytes[k] != (unsigned char)(i + k)) return 0;
  }
  return 1;
}

static void fill(int i, size_t from) {
  for (size_t k = from; k < blocks[i].size; ++k) blocks[i].bytes[k] = (unsigned char)(i + k);
}

int main(void) {
  size_t moved = 0;
  for (int step = 0; step < 60000; ++step) {
    const int i = (int)(next() % BLOCKS);
    const size_t size = some_size(), old = blocks[i].size;
    if (!good(i, old)) return printf("block %d is damaged in step %d\n", i, step), 1;
    if (next() % 3 == 0) {
      free(blocks[i].bytes);
      blocks[i].bytes = NULL;
      blocks[i].size = 0;
      continue;
    }
    unsigned char* bytes = realloc(blocks[i].bytes, size);
    if (bytes == NULL && size > 0) return printf("no memory in step %d\n", step), 1;
    blocks[i].bytes = bytes;
    blocks[i].size = bytes == NULL ? 0 : size;
    fill(i, old < size ? old : 0);
    moved += size;
  }
  printf("%zu bytes allocated\n", moved);

  /* Fresh memory is zero although its pages were used before. */
  int* zeros = calloc(100000, sizeof *zeros);
  for (int i = 0; i < 100000; ++i) {
    if (zeros[i] != 0) return puts("calloc is not zero"), 1;
  }
  char* map = mmap(NULL, 1 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  memset(map, 1, 1 << 20);
  map = mremap(map, 1 << 20, 3 << 20, MREMAP_MAYMOVE);
  printf("mremap keeps %d, adds %d\n", map[(1 << 20) - 1], map[1 << 20]);
  if (munmap(map, 3 << 20) != 0) return 1;

  void* huge = malloc((size_t)3 << 30);
  printf("3 GiB: %s\n", huge == NULL ? "refused" : "given");
  void* aligned = NULL;
  printf("aligned: %d", posix_memalign(&aligned, 4096, 100));
  printf(" %d\n", (int)((uintptr_t)aligned % 4096));
  return 0;
}
