// What C++ without exceptions, without run-time types and without a standard library still calls.
// `new` that finds no memory ends the guest: there is nothing to throw.
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

namespace std {
enum class align_val_t : size_t {};
struct nothrow_t {};
extern const nothrow_t nothrow{};
}  // namespace std

namespace {

void* Allocate(size_t size) { return malloc(size == 0 ? 1 : size); }

void* AllocateAligned(size_t size, std::align_val_t alignment) {
  void* out = nullptr;
  const auto bytes = static_cast<size_t>(alignment);
  return posix_memalign(&out, bytes < sizeof(void*) ? sizeof(void*) : bytes,
                        size == 0 ? 1 : size) == 0
             ? out
             : nullptr;
}

void* OrEnd(void* pointer) {
  if (pointer == nullptr) abort();
  return pointer;
}

}  // namespace

void* operator new(size_t size) { return OrEnd(Allocate(size)); }
void* operator new[](size_t size) { return OrEnd(Allocate(size)); }
void* operator new(size_t size, const std::nothrow_t&) noexcept { return Allocate(size); }
void* operator new[](size_t size, const std::nothrow_t&) noexcept { return Allocate(size); }
void* operator new(size_t size, std::align_val_t a) { return OrEnd(AllocateAligned(size, a)); }
void* operator new[](size_t size, std::align_val_t a) { return OrEnd(AllocateAligned(size, a)); }
void operator delete(void* pointer) noexcept { free(pointer); }
void operator delete[](void* pointer) noexcept { free(pointer); }
void operator delete(void* pointer, size_t) noexcept { free(pointer); }
void operator delete[](void* pointer, size_t) noexcept { free(pointer); }
void operator delete(void* pointer, const std::nothrow_t&) noexcept { free(pointer); }
void operator delete[](void* pointer, const std::nothrow_t&) noexcept { free(pointer); }
void operator delete(void* pointer, std::align_val_t) noexcept { free(pointer); }
void operator delete[](void* pointer, std::align_val_t) noexcept { free(pointer); }
void operator delete(void* pointer, size_t, std::align_val_t) noexcept { free(pointer); }
void operator delete[](void* pointer, size_t, std::align_val_t) noexcept { free(pointer); }

extern "C" {

void* __dso_handle = nullptr;

[[noreturn]] void __cxa_pure_virtual() { abort(); }
[[noreturn]] void __cxa_deleted_virtual() { abort(); }
[[noreturn]] void __cxa_throw_bad_array_new_length() { abort(); }

// The first byte of a guard says that the object exists; there is one thread.
int __cxa_guard_acquire(uint64_t* guard) { return *reinterpret_cast<char*>(guard) == 0; }
void __cxa_guard_release(uint64_t* guard) { *reinterpret_cast<char*>(guard) = 1; }
void __cxa_guard_abort(uint64_t*) {}

int __cxa_atexit(void (*function)(void*), void* argument, void* dso);
int __cxa_thread_atexit(void (*function)(void*), void* argument, void* dso) {
  return __cxa_atexit(function, argument, dso);
}
}
