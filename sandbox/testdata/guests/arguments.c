/* What /dev/nvram gives, and a clock that moves only when it is looked at. */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

extern char** environ;

int main(int argc, char** argv) {
  for (int i = 0; i < argc; ++i) printf("argv[%d] = \"%s\"\n", i, argv[i]);
  for (char** variable = environ; *variable != NULL; ++variable) printf("%s\n", *variable);
  struct timespec a, b;
  clock_gettime(CLOCK_REALTIME, &a);
  clock_gettime(CLOCK_REALTIME, &b);
  printf("time %ld, step %ld ns\n", (long)a.tv_sec, b.tv_nsec - a.tv_nsec);
  sleep(10);
  clock_gettime(CLOCK_REALTIME, &b);
  printf("slept %ld s, pid %d, uid %d\n", (long)(b.tv_sec - a.tv_sec), (int)getpid(),
         (int)getuid());
  unsigned char bytes[4];
  if (getentropy(bytes, sizeof bytes) != 0) return 1;
  printf("random %02x%02x%02x%02x\n", bytes[0], bytes[1], bytes[2], bytes[3]);
  return isatty(0) ? 3 : 4;
}
