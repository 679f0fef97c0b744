/* Asks for code where none may be, and for code that breaks rules; what is granted runs. */
/* expect: exited 0 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <zvm.h>

static const unsigned char good[] = {0xb8, 42,   0,    0,    0,                      /* mov $42 */
                                     0x48, 0x81, 0x24, 0x24, 0xe0, 0xff, 0xff, 0x7f, /* mask */
                                     0xc3};                                          /* ret */
static const unsigned char bad[] = {0x0f, 0x31, 0xc3}; /* rdtsc; ret */
static char data_of_image[8192] = "data";
static char zeros[65536] __attribute__((aligned(4096)));

int main(void) {
  char stack[8192] __attribute__((aligned(4096)));
  char* const code = aligned_alloc(65536, 65536);
  if (code == NULL) return 1;
  char* const page_of_data = (char*)((uintptr_t)(data_of_image + 4095) & ~4095ul);
  memset(code, 0x90, 65536);

  if (zvm_jail(NULL, 4096) != -EINVAL) return 2;
  if (zvm_jail((void*)main, 4096) != -EINVAL) return 3;
  if (zvm_jail((void*)0x400000, 4096) != -EINVAL) return 4;
  if (zvm_jail(stack, 4096) != -EINVAL) return 5;
  if (zvm_jail(page_of_data, 4096) != -EINVAL) return 6;
  if (zvm_jail(code, 0) != -EINVAL) return 7;
  if (zvm_jail(code + 32, 4096) != -EINVAL) return 8;
  if (zvm_jail(code, ~0ul) != -EINVAL) return 9;
  if (zvm_jail(code, 1ul << 32) != -EINVAL) return 10;
  if (zvm_jail(code, -(uintptr_t)code) != -EINVAL) return 11;
  if (zvm_jail((char*)MANIFEST->heap_ptr + MANIFEST->heap_size - 4096, 8192) != -EINVAL) return 12;
  if (zvm_unjail((void*)0x400000, 4096) != -EINVAL) return 13;
  if (zvm_unjail(code, 65536) != -EINVAL) return 14;

  memcpy(code, bad, sizeof bad);
  if (zvm_jail(code, sizeof bad) != -EPERM) return 15;
  code[0] = 1; /* still writable */
  memcpy(code, good, sizeof good);
  /* A system call behind what is asked for, in the same page: the rest of the page is traps. */
  memcpy(code + 64, "\x0f\x05", 2);
  if (zvm_jail(code, sizeof good) != 0) return 16;
  if ((unsigned char)code[64] != 0xcc) return 17;
  if (((int (*)(void))code)() != 42) return 18;
  /* The host does not write code for the guest, and may read it. */
  if (zvm_pread(0, code, 1, 0) != -EINVAL) return 19;
  if (zvm_pread(0, code - 1, 2, 0) != -EINVAL) return 20;
  if (zvm_pwrite(1, code, 16, 0) != 16) return 21;
  if (zvm_jail(code, 4096) != -EINVAL || zvm_jail(code - 4096, 8192) != -EINVAL) return 22;
  if (zvm_unjail(code, 8192) != -EINVAL) return 23;
  if (zvm_unjail(code, 4096) != 0) return 24;
  memcpy(code, good, sizeof good);
  code[1] = 43;
  if (zvm_jail(code, sizeof good) != 0 || ((int (*)(void))code)() != 43) return 25;
  memcpy(zeros, good, sizeof good);
  if (zvm_jail(zeros, sizeof good) != 0) return 26;
  int (*volatile in_zeros)(void) = (int (*)(void))zeros; /* or the call would be a direct one */
  if (in_zeros() != 42) return 27;
  return 0;
}
