/* qsort of WORK records by two keys: a call through a pointer for each comparison. */
#include "kernel.h"

struct record {
  uint32_t key, index;
};

static int by_key(const void* a, const void* b) {
  const struct record *left = a, *right = b;
  if (left->key != right->key) return left->key < right->key ? -1 : 1;
  return left->index < right->index ? -1 : left->index > right->index;
}

int main(int argc, char** argv) {
  const long work = kernel_work(argc, argv);
  struct record* records = malloc((size_t)work * sizeof *records);
  if (records == NULL) return 3;
  uint64_t seed = 7;
  for (long i = 0; i < work; ++i) {
    records[i].key = (uint32_t)(kernel_random(&seed) >> 40);
    records[i].index = (uint32_t)i;
  }
  qsort(records, (size_t)work, sizeof *records, by_key);
  uint64_t sum = 0;
  for (long i = 0; i < work; ++i) sum = sum * 31 + records[i].key + records[i].index;
  printf("%016llx\n", (unsigned long long)sum);
  free(records);
  return 0;
}
