// What this program asks of its host looks like two system calls, and on Linux it is.
#include <unistd.h>

int main() {
  char text[256];
  const ssize_t size = read(0, text, sizeof text);
  if (size < 0) return 1;
  return write(2, text, static_cast<size_t>(size)) == size ? 0 : 1;
}
