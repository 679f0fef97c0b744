/* sample LENGTH COUNT SIZE SEED: reads COUNT pieces of SIZE bytes of /dev/input, which has LENGTH,
 * here and there, and prints a sum of what it read (FNV-1a, 64 bits). */
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

int main(int argc, char** argv) {
  if (argc != 5) return 2;
  const uint64_t length = strtoull(argv[1], NULL, 10);
  const uint64_t count = strtoull(argv[2], NULL, 10);
  const uint64_t size = strtoull(argv[3], NULL, 10);
  uint64_t random = strtoull(argv[4], NULL, 10);
  uint64_t sum = 0xcbf29ce484222325;
  unsigned char* piece = malloc(size);
  const int input = open("/dev/input", O_RDONLY);
  if (piece == NULL || input < 0) return 3;
  for (uint64_t i = 0; i < count; ++i) {
    random = random * 6364136223846793005 + 1442695040888963407;
    const uint64_t offset = (random >> 16) % (length - size + 1);
    const ssize_t got = pread(input, piece, size, (off_t)offset);
    if (got != (ssize_t)size) {
      perror("/dev/input");
      return 4;
    }
    for (uint64_t k = 0; k < size; ++k) sum = (sum ^ piece[k]) * 0x100000001b3;
  }
  printf("%016llx\n", (unsigned long long)sum);
  return 0;
}
