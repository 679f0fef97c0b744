/* SHA-256 (FIPS 180-4) over WORK blocks: rotations and additions without branches. */
#include "kernel.h"

static uint32_t constants[64];

static uint32_t rotate(uint32_t x, int n) { return x >> n | x << (32 - n); }

/* The constants are the fractional parts of the cube roots of the first 64 primes. */
static void make_constants(void) {
  int count = 0;
  for (uint64_t prime = 2; count < 64; ++prime) {
    int composite = 0;
    for (uint64_t d = 2; d * d <= prime; ++d) composite |= prime % d == 0;
    if (composite) continue;
    /* The integer cube root of prime * 2^96, bit by bit. */
    const __uint128_t target = (__uint128_t)prime << 96;
    uint64_t root = 0;
    for (int bit = 35; bit >= 0; --bit) {
      const __uint128_t next = root | (uint64_t)1 << bit;
      if (next * next * next <= target) root = (uint64_t)next;
    }
    constants[count++] = (uint32_t)root;
  }
}

static void compress(uint32_t state[8], const uint32_t block[16]) {
  uint32_t w[64];
  for (int i = 0; i < 16; ++i) w[i] = block[i];
  for (int i = 16; i < 64; ++i) {
    const uint32_t a = w[i - 15], b = w[i - 2];
    w[i] = w[i - 16] + (rotate(a, 7) ^ rotate(a, 18) ^ a >> 3) + w[i - 7] +
           (rotate(b, 17) ^ rotate(b, 19) ^ b >> 10);
  }
  uint32_t a = state[0], b = state[1], c = state[2], d = state[3];
  uint32_t e = state[4], f = state[5], g = state[6], h = state[7];
  for (int i = 0; i < 64; ++i) {
    const uint32_t t1 = h + (rotate(e, 6) ^ rotate(e, 11) ^ rotate(e, 25)) + ((e & f) ^ (~e & g)) +
                        constants[i] + w[i];
    const uint32_t t2 =
        (rotate(a, 2) ^ rotate(a, 13) ^ rotate(a, 22)) + ((a & b) ^ (a & c) ^ (b & c));
    h = g;
    g = f;
    f = e;
    e = d + t1;
    d = c;
    c = b;
    b = a;
    a = t1 + t2;
  }
  state[0] += a;
  state[1] += b;
  state[2] += c;
  state[3] += d;
  state[4] += e;
  state[5] += f;
  state[6] += g;
  state[7] += h;
}

int main(int argc, char** argv) {
  const long work = kernel_work(argc, argv);
  uint32_t state[8] = {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a,
                       0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19};
  uint32_t block[16] = {0};
  make_constants();
  for (long i = 0; i < work; ++i) {
    block[i & 15] += (uint32_t)i;
    compress(state, block);
  }
  for (int i = 0; i < 8; ++i) printf("%08x", (unsigned)state[i]);
  printf("\n");
  return 0;
}
