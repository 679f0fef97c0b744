/* Compresses and restores a megabyte of text WORK times with bzip2, blocks of 900 kB. */
#include <bzlib.h>
#include <string.h>

#include "generated_text.h"

enum { kSize = 1 << 20 };
static char text[kSize], restored[kSize], packed[kSize + kSize / 8];

int main(int argc, char** argv) {
  const long work = kernel_work(argc, argv);
  generate_text(text, kSize);
  uint64_t sum = 0;
  for (long i = 0; i < work; ++i) {
    text[i] ^= 1;
    unsigned packed_size = sizeof packed, size = kSize;
    if (BZ2_bzBuffToBuffCompress(packed, &packed_size, text, kSize, 9, 0, 0) != BZ_OK) return 3;
    if (BZ2_bzBuffToBuffDecompress(restored, &size, packed, packed_size, 0, 0) != BZ_OK) return 4;
    if (size != kSize || memcmp(text, restored, kSize) != 0) return 5;
    for (unsigned j = 0; j < packed_size; ++j) sum = sum * 31 + (unsigned char)packed[j];
  }
  printf("%llx\n", (unsigned long long)sum);
  return 0;
}
