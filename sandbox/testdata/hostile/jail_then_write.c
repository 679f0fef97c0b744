/* Writes to what it has made code. */
/* expect: faulted 11 */
#include <stdlib.h>
#include <string.h>
#include <zvm.h>

int main(void) {
  volatile char* const code = aligned_alloc(65536, 65536);
  memset((char*)code, 0x90, 65536);
  if (zvm_jail((char*)code, 65536) != 0) return 1;
  code[100] = 0;
  return 0;
}
