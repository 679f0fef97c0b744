/* Lets the guests of docs/examples/wordcount run natively, for comparison: linked with them and
 * -Wl,--wrap=main,--wrap=fopen,--wrap=opendir. The first argument is a directory that holds what a
 * guest finds in /dev. */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int __real_main(int argc, char** argv);
FILE* __real_fopen(const char* path, const char* mode);
DIR* __real_opendir(const char* path);

static const char* local(const char* path) {
  return strncmp(path, "/dev/", 5) == 0 ? path + 5 : path;
}

/* With the 64 KiB that a stream of a guest has; musl's own 1 KiB would be a handicap. */
FILE* __wrap_fopen(const char* path, const char* mode) {
  enum { kBuffer = 1 << 16 };
  FILE* file = __real_fopen(local(path), mode);
  if (file != NULL) setvbuf(file, malloc(kBuffer), _IOFBF, kBuffer);
  return file;
}

DIR* __wrap_opendir(const char* path) { return __real_opendir(local(path)); }

int __wrap_main(int argc, char** argv) {
  if (argc != 2 || chdir(argv[1]) != 0) {
    fprintf(stderr, "usage: %s DEVICES\n", argv[0]);
    return 2;
  }
  return __real_main(1, argv);
}
