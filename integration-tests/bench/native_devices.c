/* Lets the guests of docs/examples/wordcount run natively, for comparison: linked with them and
 * -Wl,--wrap=main,--wrap=fopen,--wrap=opendir. The first argument is a directory that holds what a guest
 * finds in /dev. */
#include <dirent.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

int __real_main(int argc, char **argv);
FILE *__real_fopen(const char *path, const char *mode);
DIR *__real_opendir(const char *path);

static const char *local(const char *path) { return strncmp(path, "/dev/", 5) == 0 ? path + 5 : path; }

FILE *__wrap_fopen(const char *path, const char *mode) { return __real_fopen(local(path), mode); }

DIR *__wrap_opendir(const char *path) { return __real_opendir(local(path)); }

int __wrap_main(int argc, char **argv) {
  if (argc != 2 || chdir(argv[1]) != 0) {
    fprintf(stderr, "usage: %s DEVICES\n", argv[0]);
    return 2;
  }
  return __real_main(1, argv);
}
