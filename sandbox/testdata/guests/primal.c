/* Prime numbers, three ways: a sieve, trial division, and a test with powers. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

enum { LIMIT = 2000000 };
static unsigned char composite[LIMIT + 1];

static int divides(unsigned n) {
  if (n < 2) return 0;
  for (unsigned d = 2; d * d <= n; ++d) {
    if (n % d == 0) return 0;
  }
  return 1;
}

static uint64_t power(uint64_t base, uint64_t exponent, uint64_t n) {
  uint64_t result = 1;
  for (; exponent > 0; exponent >>= 1) {
    if (exponent & 1) result = (uint64_t)((unsigned __int128)result * base % n);
    base = (uint64_t)((unsigned __int128)base * base % n);
  }
  return result;
}

/* Miller and Rabin's, with bases that decide every 64-bit number. */
static int is_prime(uint64_t n) {
  static const uint64_t bases[] = {2, 3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37};
  if (n < 2) return 0;
  for (unsigned i = 0; i < sizeof bases / sizeof *bases; ++i) {
    if (n % bases[i] == 0) return n == bases[i];
  }
  uint64_t odd = n - 1;
  int twos = 0;
  for (; odd % 2 == 0; odd /= 2) ++twos;
  for (unsigned i = 0; i < sizeof bases / sizeof *bases; ++i) {
    uint64_t x = power(bases[i], odd, n);
    if (x == 1 || x == n - 1) continue;
    int k = 1;
    while (k < twos && x != n - 1) x = power(x, 2, n), ++k;
    if (x != n - 1) return 0;
  }
  return 1;
}

int main(void) {
  unsigned count = 0, last = 0, twins = 0;
  uint64_t sum = 0;
  for (unsigned n = 2; n <= LIMIT; ++n) {
    if (composite[n]) continue;
    for (uint64_t m = (uint64_t)n * n; m <= LIMIT; m += n) composite[m] = 1;
    ++count;
    sum += n;
    if (last != 0 && n - last == 2) ++twins;
    last = n;
  }
  printf("%u primes up to %d, the last is %u, %u pairs, sum %llu\n", count, LIMIT, last, twins,
         (unsigned long long)sum);
  for (unsigned n = 0; n < 50000; ++n) {
    if (divides(n) != (n >= 2 && !composite[n]) || is_prime(n) != divides(n)) {
      printf("%u differs\n", n);
      return 1;
    }
  }
  static const uint64_t large[] = {4294967291u, 4294967297u, 2305843009213693951u,
                                   18446744073709551557u, 18446744073709551615u};
  for (unsigned i = 0; i < sizeof large / sizeof *large; ++i)
    printf("%llu is %s\n", (unsigned long long)large[i], is_prime(large[i]) ? "prime" : "none");
  return 0;
}
