/* /dev: channels and devices. Run with /dev/input (random read) and /dev/out/log (append) beside
 * the standard ones; the input holds "0123456789". */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static void list(const char* path) {
  printf("%s:", path);
  DIR* directory = opendir(path);
  for (struct dirent* entry; directory != NULL && (entry = readdir(directory)) != NULL;) {
    printf(" %s", entry->d_name);
  }
  if (directory != NULL) closedir(directory);
  putchar('\n');
}

int main(void) {
  char buffer[32];
  struct stat found;
  list("/dev");
  list("/dev/out");
  printf("isatty %d, seek stdin %d\n", isatty(1), lseek(0, 0, SEEK_SET) < 0 && errno == ESPIPE);
  printf("stdin fifo %d\n", fstat(0, &found) == 0 && S_ISFIFO(found.st_mode));

  int fd = open("/dev/input", O_RDONLY);
  fstat(fd, &found);
  printf("input %d size %lld\n", S_ISBLK(found.st_mode), (long long)found.st_size);
  lseek(fd, -4, SEEK_END);
  buffer[read(fd, buffer, 31)] = '\0';
  printf("tail %s", buffer);
  printf(", end %zd", read(fd, buffer, 1));
  printf(", at 2 %zd", pread(fd, buffer, 3, 2));
  printf(" %.3s\n", buffer);
  printf("write to input %d, remove %d\n", open("/dev/input", O_WRONLY) < 0 && errno == EACCES,
         unlink("/dev/input") < 0 && errno == EPERM);

  FILE* log = fopen("/dev/out/log", "a");
  fputs("first ", log);
  fputs("second\n", log);
  printf("log %d\n", fclose(log));

  fd = open("/dev/full", O_WRONLY);
  printf("full %d", write(fd, "x", 1) < 0 && errno == ENOSPC);
  fd = open("/dev/zero", O_RDONLY);
  printf(", zero %zd", read(fd, buffer, 8));
  printf(" %d", buffer[7]);
  fd = open("/dev/null", O_RDWR);
  printf(", null %zd %zd", write(fd, "x", 1), read(fd, buffer, 1));
  fd = open("/dev/urandom", O_RDONLY);
  printf(", random %zd, unknown %d\n", read(fd, buffer, 8),
         open("/dev/sda", O_RDONLY) < 0 && errno == ENOENT);
  return 0;
}
