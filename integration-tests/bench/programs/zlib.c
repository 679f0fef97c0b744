/* Compresses and restores a megabyte of text WORK times with zlib, level 6. */
#include <string.h>
#include <zlib.h>

#include "generated_text.h"

enum { kSize = 1 << 20 };
static char text[kSize], restored[kSize];
static unsigned char packed[kSize + kSize / 8];

int main(int argc, char** argv) {
  const long work = kernel_work(argc, argv);
  generate_text(text, kSize);
  uint64_t sum = 0;
  for (long i = 0; i < work; ++i) {
    text[i] ^= 1;
    uLongf packed_size = sizeof packed, size = kSize;
    if (compress2(packed, &packed_size, (const Bytef*)text, kSize, 6) != Z_OK) return 3;
    if (uncompress((Bytef*)restored, &size, packed, packed_size) != Z_OK) return 4;
    if (size != kSize || memcmp(text, restored, kSize) != 0) return 5;
    sum = sum * 31 + packed_size + crc32(0, packed, (uInt)packed_size);
  }
  printf("%llx\n", (unsigned long long)sum);
  return 0;
}
