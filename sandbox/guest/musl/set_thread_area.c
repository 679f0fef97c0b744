/* Where the one thread's descriptor is. A positive result tells musl that there can be no second
 * one. */
#include <stdint.h>

#include "pthread_impl.h"

uintptr_t __zvm_thread;

int __set_thread_area(void* descriptor) {
  __zvm_thread = (uintptr_t)descriptor;
  return 1;
}
