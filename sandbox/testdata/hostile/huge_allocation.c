/* Asks for more memory than it was granted, in one piece and in many. */
/* expect: exited 0 */
#include <stdlib.h>
#include <string.h>
int main(void) {
  if (malloc(1ul << 40) != NULL) return 1;
  for (int i = 0; i < 100000; ++i) {
    void* piece = malloc(1 << 20);
    if (piece == NULL) return 0;
    memset(piece, i, 4096);
  }
  return 2;
}
