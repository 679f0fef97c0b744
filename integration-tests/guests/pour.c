/* pour BYTES [PATH]: writes so many bytes that can be told from others of their kind, 8 at a time:
 * the little-endian numbers 0, 1, 2, ... */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

int main(int argc, char** argv) {
  static uint64_t numbers[8192];
  uint64_t left = argc > 1 ? strtoull(argv[1], NULL, 10) : 0, next = 0;
  FILE* out = argc > 2 ? fopen(argv[2], "w") : stdout;
  if (out == NULL) {
    perror(argv[2]);
    return 1;
  }
  while (left > 0) {
    const size_t size = left < sizeof numbers ? (size_t)left : sizeof numbers;
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; ++i) numbers[i] = next++;
    if (fwrite(numbers, 1, size, out) != size) {
      perror("pour");
      return 4;
    }
    left -= size;
  }
  if (fclose(out) != 0) {
    perror("pour");
    return 4;
  }
  return 0;
}
