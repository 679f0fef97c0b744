/* Ends with a code above 255; what comes after it never runs. */
#include <zvm.h>

int main(void) {
  zvm_pwrite(1, "before", 6, 0);
  zvm_exit(1234);
  zvm_pwrite(1, "after", 5, 0);
}
