/* The floating-point environment without FNSTENV and FLDENV, which would show a guest when the
 * kernel interrupted it. What the x87 unit has signalled moves to MXCSR before it is cleared, so
 * that the flags of both together stay as they were. */
#include <fenv.h>

static unsigned get_mxcsr(void) {
  unsigned value;
  __asm__ __volatile__("stmxcsr %0" : "=m"(value));
  return value;
}

static void set_mxcsr(unsigned value) { __asm__ __volatile__("ldmxcsr %0" : : "m"(value)); }

static unsigned short get_status(void) {
  unsigned short value;
  __asm__ __volatile__("fnstsw %0" : "=m"(value));
  return value;
}

static unsigned short get_control(void) {
  unsigned short value;
  __asm__ __volatile__("fnstcw %0" : "=m"(value));
  return value;
}

static void set_control(unsigned short value) { __asm__ __volatile__("fldcw %0" : : "m"(value)); }

/* All flags that are raised, wherever; afterwards only MXCSR has them. */
static unsigned gather(void) {
  const unsigned x87 = get_status() & FE_ALL_EXCEPT;
  unsigned mxcsr = get_mxcsr();
  if (x87 != 0) {
    __asm__ __volatile__("fnclex");
    mxcsr |= x87;
    set_mxcsr(mxcsr);
  }
  return mxcsr;
}

int feclearexcept(int mask) {
  set_mxcsr(gather() & ~((unsigned)mask & FE_ALL_EXCEPT));
  return 0;
}

int feraiseexcept(int mask) {
  set_mxcsr(get_mxcsr() | ((unsigned)mask & FE_ALL_EXCEPT));
  return 0;
}

int fetestexcept(int mask) {
  return (int)((get_mxcsr() | get_status()) & (unsigned)mask & FE_ALL_EXCEPT);
}

int fegetround(void) { return (int)(get_mxcsr() >> 3 & 0xc00); }

/* Called by fesetround with a valid mode. */
__attribute__((__visibility__("hidden"))) int __fesetround(int mode) {
  set_control((unsigned short)((get_control() & ~0xc00u) | (unsigned)mode));
  set_mxcsr((get_mxcsr() & ~0x6000u) | (unsigned)mode << 3);
  return 0;
}

int fegetenv(fenv_t* out) {
  *out = (fenv_t){.__control_word = get_control(), .__mxcsr = gather()};
  return 0;
}

int fesetenv(const fenv_t* from) {
  const int is_default = from == FE_DFL_ENV;
  __asm__ __volatile__("fnclex");
  set_control(is_default ? 0x37f : from->__control_word);
  set_mxcsr(is_default ? 0x1f80 : from->__mxcsr);
  return 0;
}
