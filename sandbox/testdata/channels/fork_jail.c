/* Makes code, forks, calls the code, makes it data again and other code of it. Exits with 42. */
#include <stdlib.h>
#include <string.h>
#include <zvm.h>

/* mov $32, %eax; mask of the return address; ret */
static const unsigned char function[] = {0xb8, 32,   0,    0,    0,    0x48, 0x81,
                                         0x24, 0x24, 0xe0, 0xff, 0xff, 0x7f, 0xc3};

int main(void) {
  char* const code = aligned_alloc(4096, 8192);
  memcpy(code, function, sizeof function);
  if (zvm_jail(code, sizeof function) != 0) return 1;
  if (zvm_fork() != 0) return 2;
  int sum = ((int (*)(void))code)();
  if (zvm_unjail(code, sizeof function) != 0) return 3;
  memcpy(code, function, sizeof function);
  code[1] = 10;
  if (zvm_jail(code, sizeof function) != 0) return 4;
  sum += ((int (*)(void))code)();
  return sum;
}
