/* Text to compress: words of a made-up vocabulary, frequent ones shorter, in lines. */
#ifndef GENERATED_TEXT_H_
#define GENERATED_TEXT_H_

#include "kernel.h"

static inline void generate_text(char* out, size_t size) {
  uint64_t seed = 29;
  size_t at = 0;
  while (at < size) {
    const uint64_t bits = kernel_random(&seed);
    uint64_t word = bits % 1000 * (bits >> 32 & 7) % 3001 + 1;
    for (; word > 0 && at < size; word /= 7) out[at++] = (char)('a' + word * 5 % 26);
    if (at < size) out[at++] = bits >> 40 & 15 ? ' ' : '\n';
  }
}

#endif /* GENERATED_TEXT_H_ */
