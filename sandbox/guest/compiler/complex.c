/* What gcc calls for complex products and quotients and for integer powers. Products and quotients
 * follow annex G of C11: an infinite operand gives an infinite result even where the plain formula
 * says NaN. */
#include <math.h>

#define INFINITE(x) (isinf(x) ? 1 : 0)

#define COMPLEX(suffix, type, copysign_f, scalbn_f, logb_f, fmax_f, fabs_f)   \
  type _Complex __mul##suffix##3(type a, type b, type c, type d) {            \
    const type ac = a * c, bd = b * d, ad = a * d, bc = b * c;                \
    type _Complex out;                                                        \
    __real__ out = ac - bd;                                                   \
    __imag__ out = ad + bc;                                                   \
    if (!(isnan(__real__ out) && isnan(__imag__ out))) return out;            \
    int recalculate = 0;                                                      \
    if (isinf(a) || isinf(b)) {                                               \
      a = copysign_f(INFINITE(a), a);                                         \
      b = copysign_f(INFINITE(b), b);                                         \
      if (isnan(c)) c = copysign_f(0, c);                                     \
      if (isnan(d)) d = copysign_f(0, d);                                     \
      recalculate = 1;                                                        \
    }                                                                         \
    if (isinf(c) || isinf(d)) {                                               \
      c = copysign_f(INFINITE(c), c);                                         \
      d = copysign_f(INFINITE(d), d);                                         \
      if (isnan(a)) a = copysign_f(0, a);                                     \
      if (isnan(b)) b = copysign_f(0, b);                                     \
      recalculate = 1;                                                        \
    }                                                                         \
    if (!recalculate && (isinf(ac) || isinf(bd) || isinf(ad) || isinf(bc))) { \
      if (isnan(a)) a = copysign_f(0, a);                                     \
      if (isnan(b)) b = copysign_f(0, b);                                     \
      if (isnan(c)) c = copysign_f(0, c);                                     \
      if (isnan(d)) d = copysign_f(0, d);                                     \
      recalculate = 1;                                                        \
    }                                                                         \
    if (recalculate) {                                                        \
      __real__ out = (type)INFINITY * (a * c - b * d);                        \
      __imag__ out = (type)INFINITY * (a * d + b * c);                        \
    }                                                                         \
    return out;                                                               \
  }                                                                           \
                                                                              \
  type _Complex __div##suffix##3(type a, type b, type c, type d) {            \
    int scale = 0;                                                            \
    const type larger = logb_f(fmax_f(fabs_f(c), fabs_f(d)));                 \
    if (isfinite(larger)) {                                                   \
      scale = (int)larger;                                                    \
      c = scalbn_f(c, -scale);                                                \
      d = scalbn_f(d, -scale);                                                \
    }                                                                         \
    const type norm = c * c + d * d;                                          \
    type _Complex out;                                                        \
    __real__ out = scalbn_f((a * c + b * d) / norm, -scale);                  \
    __imag__ out = scalbn_f((b * c - a * d) / norm, -scale);                  \
    if (!(isnan(__real__ out) && isnan(__imag__ out))) return out;            \
    if (norm == 0 && (!isnan(a) || !isnan(b))) {                              \
      __real__ out = copysign_f((type)INFINITY, c) * a;                       \
      __imag__ out = copysign_f((type)INFINITY, c) * b;                       \
    } else if ((isinf(a) || isinf(b)) && isfinite(c) && isfinite(d)) {        \
      a = copysign_f(INFINITE(a), a);                                         \
      b = copysign_f(INFINITE(b), b);                                         \
      __real__ out = (type)INFINITY * (a * c + b * d);                        \
      __imag__ out = (type)INFINITY * (b * c - a * d);                        \
    } else if (isinf(larger) && larger > 0 && isfinite(a) && isfinite(b)) {   \
      c = copysign_f(INFINITE(c), c);                                         \
      d = copysign_f(INFINITE(d), d);                                         \
      __real__ out = 0 * (a * c + b * d);                                     \
      __imag__ out = 0 * (b * c - a * d);                                     \
    }                                                                         \
    return out;                                                               \
  }

COMPLEX(sc, float, copysignf, scalbnf, logbf, fmaxf, fabsf)
COMPLEX(dc, double, copysign, scalbn, logb, fmax, fabs)
COMPLEX(xc, long double, copysignl, scalbnl, logbl, fmaxl, fabsl)

#define POWER(name, type)                            \
  type name(type x, int n) {                         \
    unsigned m = n < 0 ? -(unsigned)n : (unsigned)n; \
    type out = m & 1 ? x : 1;                        \
    while (m >>= 1) {                                \
      x = x * x;                                     \
      if (m & 1) out *= x;                           \
    }                                                \
    return n < 0 ? 1 / out : out;                    \
  }

POWER(__powisf2, float)
POWER(__powidf2, double)
POWER(__powixf2, long double)
