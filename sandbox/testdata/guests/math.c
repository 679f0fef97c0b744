/* Floating point of all widths, complex numbers, 128-bit integers, the floating-point environment.
 */
#include <complex.h>
#include <fenv.h>
#include <float.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

static volatile double one = 1, three = 3, zero = 0;

static void integers(void) {
  const unsigned __int128 a = ((unsigned __int128)0x123456789abcdef0u << 64) | 0x0fedcba987654321u;
  const unsigned __int128 divisors[] = {3, 0xffffffffffffffffu, ((unsigned __int128)7 << 64) | 5,
                                        a - 1};
  for (int i = 0; i < 4; ++i) {
    const unsigned __int128 q = a / divisors[i], r = a % divisors[i];
    printf("%d: %llx %llx %llx %llx %d\n", i, (unsigned long long)(q >> 64), (unsigned long long)q,
           (unsigned long long)(r >> 64), (unsigned long long)r, q * divisors[i] + r == a);
  }
  const __int128 negative = -(__int128)(a >> 4);
  printf("%lld %lld\n", (long long)(negative / 1000000007 >> 60),
         (long long)(negative % 1000000007));
  printf("%a %a %La\n", (double)a, (double)(float)negative, (long double)negative);
  volatile double big = 0x1.23456789abcdp100;
  printf("%d\n", (unsigned __int128)big == (unsigned __int128)0x123456789abcdull << 52);
  printf("%d %d\n", __builtin_popcountll(0x123456789abcdef0u), __builtin_ctzll(0x1000));
}

static void functions(void) {
  const double points[] = {0.1, 0.7, 1.5, 3.0, 100.25};
  for (int i = 0; i < 5; ++i) {
    const double x = points[i];
    printf("%.15g %.15g %.15g %.15g %.15g %.15g\n", sin(x), tan(x), exp(x), log(x), pow(x, 2.5),
           cbrt(x));
    printf("%.15Lg %.15Lg %.15Lg %.15Lg\n", sqrtl(x), expl(x), logl(x), atan2l(x, 2));
    printf("%.7g %.7g %.7g\n", sinf((float)x), floorf((float)x), fmodf((float)x, 0.3f));
  }
  printf("%Lg %Lg %Lg %Lg\n", floorl(-2.5L), ceill(2.5L), fmodl(10.5L, 3), truncl(-7.9L));
  printf("%ld %ld %d\n", lrint(2.5), lrint(3.5), (int)lround(2.5));
  const double complex z = (1 + 2 * I) * (3 - 4 * I) / (0.5 + I);
  printf("%g %g %g %g\n", creal(z), cimag(z), cabs(z), creal(csqrt(-1)));
}

static void environment(void) {
  printf("round %d\n", fegetround() == FE_TONEAREST);
  const int modes[] = {FE_TONEAREST, FE_UPWARD, FE_DOWNWARD, FE_TOWARDZERO};
  for (int i = 0; i < 4; ++i) {
    fesetround(modes[i]);
    const volatile long double third = (long double)one / three;
    printf("%a %La %ld\n", one / three, third, lrint(2.5 * one));
  }
  fesetround(FE_TONEAREST);
  feclearexcept(FE_ALL_EXCEPT);
  volatile double d = one / zero;
  volatile long double l = (long double)zero / zero;
  (void)d;
  (void)l;
  printf("%d %d %d\n", fetestexcept(FE_DIVBYZERO) != 0, fetestexcept(FE_INVALID) != 0,
         fetestexcept(FE_OVERFLOW) != 0);
  feclearexcept(FE_DIVBYZERO);
  printf("%d %d\n", fetestexcept(FE_DIVBYZERO) != 0, fetestexcept(FE_INVALID) != 0);
  fenv_t held;
  feholdexcept(&held);
  printf("%d ", fetestexcept(FE_ALL_EXCEPT));
  feraiseexcept(FE_OVERFLOW);
  feupdateenv(&held);
  printf("%d %d\n", fetestexcept(FE_OVERFLOW) != 0, fetestexcept(FE_INVALID) != 0);
}

int main(void) {
  integers();
  functions();
  environment();
  printf("%s %g %.3e %a\n", "inf", INFINITY, DBL_MAX, DBL_MIN);
  printf("%.20g %.17g %Lg\n", strtod("0.1", NULL), atof("1e-310"), strtold("1e4000", NULL));
  return 0;
}
