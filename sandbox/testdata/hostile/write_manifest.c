/* Raises its own limits in the user manifest. */
/* expect: faulted 11 */
#include <zvm.h>
int main(void) {
  ((struct ZVMChannel*)MANIFEST->channels)[1].limits[PutSizeLimit] = 1l << 40;
  return 0;
}
