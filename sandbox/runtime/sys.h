// Linux system calls without a C library: all that the session launcher and the six calls make.
// A result in [-4095, -1] is a negative errno. Freestanding; also usable in hosted tests.
#pragma once

#include <stdint.h>
#include <sys/syscall.h>

namespace zerocloud::runtime {

inline int64_t Sys(int64_t number, uint64_t a = 0, uint64_t b = 0, uint64_t c = 0, uint64_t d = 0,
                   uint64_t e = 0, uint64_t f = 0) {
  int64_t result;
  register uint64_t r10 __asm__("r10") = d;
  register uint64_t r8 __asm__("r8") = e;
  register uint64_t r9 __asm__("r9") = f;
  // SAFETY: the kernel's calling convention; rcx and r11 are the only registers it changes.
  __asm__ volatile("syscall"
                   : "=a"(result)
                   : "a"(number), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
                   : "rcx", "r11", "memory");
  return result;
}

inline bool IsError(int64_t result) { return result < 0 && result >= -4095; }

inline uint64_t Address(const volatile void* pointer) {
  return reinterpret_cast<uint64_t>(pointer);
}

// Addresses are numbers here: the kernel's, a guest's, or of what was just mapped.
template <typename T>
T* PointerTo(uint64_t address) {
  return reinterpret_cast<T*>(address);  // NOLINT(performance-no-int-to-ptr)
}

}  // namespace zerocloud::runtime
