/* What gcc calls for 128-bit integers and for counting bits: the guests' libgcc. */
#include <stdint.h>

typedef unsigned __int128 u128;
typedef __int128 i128;

/* The quotient must fit: high < divisor. */
static uint64_t divide_128_by_64(uint64_t high, uint64_t low, uint64_t divisor,
                                 uint64_t* remainder) {
  uint64_t quotient;
  __asm__("divq %4" : "=a"(quotient), "=d"(*remainder) : "a"(low), "d"(high), "r"(divisor));
  return quotient;
}

u128 __udivmodti4(u128 n, u128 d, u128* remainder) {
  const uint64_t n_high = (uint64_t)(n >> 64), n_low = (uint64_t)n;
  const uint64_t d_high = (uint64_t)(d >> 64), d_low = (uint64_t)d;
  u128 quotient, rest;
  if (d_high == 0) {
    uint64_t r;
    const uint64_t high = n_high / d_low;
    const uint64_t low = divide_128_by_64(n_high % d_low, n_low, d_low, &r);
    quotient = (u128)high << 64 | low;
    rest = r;
  } else if (d > n) {
    quotient = 0;
    rest = n;
  } else {
    /* Divide by the divisor's upper 64 bits, scaled; the estimate is at most one too large. */
    const int shift = __builtin_clzll(d_high);
    uint64_t ignored;
    const uint64_t top = (uint64_t)((d << shift) >> 64);
    uint64_t estimate = divide_128_by_64((uint64_t)(n >> 65), (uint64_t)(n >> 1), top, &ignored);
    estimate >>= 63 - shift;
    if (estimate > 0) --estimate;
    rest = n - estimate * d;
    while (rest >= d) {
      rest -= d;
      ++estimate;
    }
    quotient = estimate;
  }
  if (remainder != 0) *remainder = rest;
  return quotient;
}

u128 __udivti3(u128 n, u128 d) { return __udivmodti4(n, d, 0); }

u128 __umodti3(u128 n, u128 d) {
  u128 rest;
  __udivmodti4(n, d, &rest);
  return rest;
}

static u128 magnitude(i128 x) { return x < 0 ? -(u128)x : (u128)x; }

i128 __divmodti4(i128 n, i128 d, i128* remainder) {
  u128 rest;
  const u128 quotient = __udivmodti4(magnitude(n), magnitude(d), &rest);
  *remainder = (i128)(n < 0 ? -rest : rest);
  return (i128)((n < 0) != (d < 0) ? -quotient : quotient);
}

i128 __divti3(i128 n, i128 d) {
  i128 rest;
  return __divmodti4(n, d, &rest);
}

i128 __modti3(i128 n, i128 d) {
  i128 rest;
  __divmodti4(n, d, &rest);
  return rest;
}

i128 __multi3(i128 a, i128 b) { return (i128)((u128)a * (u128)b); }

int __popcountdi2(uint64_t x) {
  x = x - (x >> 1 & UINT64_C(0x5555555555555555));
  x = (x & UINT64_C(0x3333333333333333)) + (x >> 2 & UINT64_C(0x3333333333333333));
  x = (x + (x >> 4)) & UINT64_C(0x0f0f0f0f0f0f0f0f);
  return (int)(x * UINT64_C(0x0101010101010101) >> 56);
}

int __popcountsi2(unsigned x) { return __popcountdi2(x); }
int __popcountti2(u128 x) {
  return __popcountdi2((uint64_t)x) + __popcountdi2((uint64_t)(x >> 64));
}
int __paritydi2(uint64_t x) { return __popcountdi2(x) & 1; }
int __parityti2(u128 x) { return __popcountti2(x) & 1; }

int __clzti2(u128 x) {
  const uint64_t high = (uint64_t)(x >> 64);
  return high != 0 ? __builtin_clzll(high) : 64 + __builtin_clzll((uint64_t)x);
}

int __ctzti2(u128 x) {
  const uint64_t low = (uint64_t)x;
  return low != 0 ? __builtin_ctzll(low) : 64 + __builtin_ctzll((uint64_t)(x >> 64));
}

int __ffsti2(u128 x) { return x == 0 ? 0 : __ctzti2(x) + 1; }

/* --- to and from floating point --- */

/* Through a long double, whose 64 bits hold half of the integer exactly: the sum is rounded once.
 * The narrower types would be rounded twice, so what falls off is kept in the lowest bit first. */
long double __floatuntixf(u128 x) {
  return (long double)(uint64_t)(x >> 64) * 0x1p64L + (long double)(uint64_t)x;
}

long double __floattixf(i128 x) {
  const long double value = __floatuntixf(magnitude(x));
  return x < 0 ? -value : value;
}

/* A number of at most 62 significant bits that rounds to 53 or 24 bits as `x` does, and what it
 * must be multiplied by. */
static uint64_t with_sticky_bit(u128 x, int* exponent) {
  const int width = 128 - __clzti2(x | 1);
  *exponent = width > 62 ? width - 62 : 0;
  if (*exponent == 0) return (uint64_t)x;
  const u128 lost = x & (((u128)1 << *exponent) - 1);
  return (uint64_t)(x >> *exponent) | (lost != 0);
}

double __floatuntidf(u128 x) {
  int exponent;
  const uint64_t bits = with_sticky_bit(x, &exponent);
  return (double)(int64_t)bits * (double)((uint64_t)1 << (exponent / 2)) *
         (double)((uint64_t)1 << (exponent - exponent / 2));
}

float __floatuntisf(u128 x) {
  int exponent;
  const uint64_t bits = with_sticky_bit(x, &exponent);
  return (float)(int64_t)bits * (float)((uint64_t)1 << (exponent / 2)) *
         (float)((uint64_t)1 << (exponent - exponent / 2));
}

double __floattidf(i128 x) { return x < 0 ? -__floatuntidf(magnitude(x)) : __floatuntidf((u128)x); }
float __floattisf(i128 x) { return x < 0 ? -__floatuntisf(magnitude(x)) : __floatuntisf((u128)x); }

u128 __fixunsxfti(long double x) {
  if (!(x >= 1)) return 0;
  const uint64_t high = (uint64_t)(x * 0x1p-64L);
  return (u128)high << 64 | (uint64_t)(x - (long double)high * 0x1p64L);
}

i128 __fixxfti(long double x) { return x < 0 ? (i128)-__fixunsxfti(-x) : (i128)__fixunsxfti(x); }

u128 __fixunsdfti(double x) { return __fixunsxfti(x); }
u128 __fixunssfti(float x) { return __fixunsxfti(x); }
i128 __fixdfti(double x) { return __fixxfti(x); }
i128 __fixsfti(float x) { return __fixxfti(x); }
