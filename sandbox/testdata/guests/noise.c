/* Noise from generators whose first words are published, through a channel and back. */
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { SIZE = 1 << 20 };
static unsigned char noise[SIZE], back[SIZE];

/* Marsaglia's xorshift32, with its own first seed. */
static uint32_t xorshift(uint32_t* state) {
  *state ^= *state << 13;
  *state ^= *state >> 17;
  *state ^= *state << 5;
  return *state;
}

static uint32_t crc32(const unsigned char* bytes, size_t size) {
  uint32_t crc = ~0u;
  for (size_t i = 0; i < size; ++i) {
    crc ^= bytes[i];
    for (int k = 0; k < 8; ++k) crc = crc >> 1 ^ (crc & 1 ? 0xedb88320u : 0);
  }
  return ~crc;
}

int main(void) {
  uint32_t state = 2463534242u;
  unsigned bits = 0;
  for (size_t i = 0; i < SIZE; i += 4) {
    const uint32_t word = xorshift(&state);
    if (i == 0) printf("first word %u\n", word);
    for (int k = 0; k < 4; ++k) noise[i + k] = (unsigned char)(word >> (8 * k));
    bits += (unsigned)__builtin_popcount(word);
  }
  printf("%d bytes, %u bits set, crc %08x\n", SIZE, bits, crc32(noise, SIZE));

  /* In pieces of odd sizes, forwards; then read in others, backwards. */
  const int file = open("/dev/noise", O_RDWR);
  if (file < 0) return 1;
  for (size_t at = 0, piece = 1; at < SIZE; at += piece, piece = piece * 3 + 7) {
    if (piece > SIZE - at) piece = SIZE - at;
    if (write(file, noise + at, piece) != (ssize_t)piece) return 2;
  }
  for (size_t end = SIZE, piece = 1; end > 0; end -= piece, piece = piece * 5 + 3) {
    if (piece > end) piece = end;
    if (pread(file, back + end - piece, piece, (off_t)(end - piece)) != (ssize_t)piece) return 3;
  }
  printf("read back: crc %08x\n", crc32(back, SIZE));
  close(file);
  return 0;
}
