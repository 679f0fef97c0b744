/* Follows pointers WORK times through 4 MB in random order: each load waits for the one before. */
#include "kernel.h"

struct node {
  struct node* next;
  uint64_t value, unused[6]; /* a cache line */
};

enum { kNodes = 1 << 16 };

int main(int argc, char** argv) {
  const long work = kernel_work(argc, argv);
  struct node* nodes = calloc(kNodes, sizeof *nodes);
  uint32_t* order = malloc(kNodes * sizeof *order);
  if (nodes == NULL || order == NULL) return 3;
  uint64_t seed = 3;
  for (uint32_t i = 0; i < kNodes; ++i) order[i] = i;
  for (uint32_t i = kNodes - 1; i > 0; --i) {
    const uint32_t j = (uint32_t)(kernel_random(&seed) % (i + 1)), swapped = order[i];
    order[i] = order[j];
    order[j] = swapped;
  }
  for (uint32_t i = 0; i < kNodes; ++i) {
    nodes[order[i]].next = &nodes[order[(i + 1) % kNodes]];
    nodes[i].value = kernel_random(&seed);
  }
  uint64_t sum = 0;
  const struct node* at = nodes;
  for (long i = 0; i < work; ++i) {
    sum += at->value;
    at = at->next;
  }
  printf("%016llx\n", (unsigned long long)sum);
  return 0;
}
