// Waits for a byte on standard input and exits with it.
#include <unistd.h>

int main(void) {
  unsigned char byte = 0;
  return read(0, &byte, 1) == 1 ? byte : 255;
}
