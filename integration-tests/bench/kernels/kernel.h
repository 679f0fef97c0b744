/* What the kernels share. A kernel takes one number, the amount of work, and prints a line that
 * depends on all of that work: the same line natively and as a guest, or the measurement is void.
 */
#ifndef KERNEL_H_
#define KERNEL_H_

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

/* Keeps the compiler from folding a call into its caller. */
#define NOINLINE __attribute__((noinline))

static inline long kernel_work(int argc, char** argv) {
  const long work = argc == 2 ? atol(argv[1]) : 0;
  if (work <= 0) {
    fprintf(stderr, "usage: %s WORK\n", argv[0]);
    exit(2);
  }
  return work;
}

/* Marsaglia's xorshift64: the same numbers everywhere. */
static inline uint64_t kernel_random(uint64_t* state) {
  *state ^= *state << 13;
  *state ^= *state >> 7;
  *state ^= *state << 17;
  return *state;
}

#endif /* KERNEL_H_ */
