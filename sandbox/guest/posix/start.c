/* From _start to the C library: arguments and environment, then __libc_start_main as a kernel's
 * stack frame would have it. */
#include <elf.h>
#include <stdlib.h>
#include <string.h>

#include "posix.h"

int main(int argc, char** argv, char** envp);
int __libc_start_main(int (*main)(int, char**, char**), int argc, char** argv, void (*init)(void),
                      void (*fini)(void), void (*ldso)(void));

/* Words of argv, envp and auxv. */
#define MAX_VECTOR (NVRAM_STRINGS + 32)

static uintptr_t vector[MAX_VECTOR];
static uint64_t canary_seed[2];

__attribute__((used)) void zvm_start(void) {
  zvm_memory_start();
  zvm_random_start(0);
  zvm_nvram_start();
  zvm_random(canary_seed, sizeof canary_seed);

  char** strings;
  size_t n = 0;
  static char guest[] = "guest";
  size_t argc = zvm_nvram_arguments(&strings);
  if (argc == 0) {
    vector[n++] = (uintptr_t)guest;
    argc = 1;
  } else {
    for (size_t i = 0; i < argc; ++i) vector[n++] = (uintptr_t)strings[i];
  }
  vector[n++] = 0;
  const size_t variables = zvm_nvram_environment(&strings);
  for (size_t i = 0; i < variables; ++i) vector[n++] = (uintptr_t)strings[i];
  vector[n++] = 0;
  const uintptr_t auxiliary[] = {AT_PAGESZ, 4096, AT_UID,  1000, AT_EUID,   1000,
                                 AT_GID,    1000, AT_EGID, 1000, AT_RANDOM, (uintptr_t)canary_seed,
                                 AT_NULL,   0};
  memcpy(&vector[n], auxiliary, sizeof auxiliary);
  zvm_files_start();
  __libc_start_main(main, (int)argc, (char**)vector, NULL, NULL, NULL);
  __builtin_trap();
}
