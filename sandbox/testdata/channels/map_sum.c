/* Maps a file and sums its words: /dev/input, or the first argument when it is built for the host,
 * to compare with. Exits with 0 if the second argument, if there is one, is the sum. */
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>

int main(int argc, char** argv) {
  const int fd = open(argc > 1 ? argv[1] : "/dev/input", O_RDONLY);
  struct stat status;
  if (fd < 0 || fstat(fd, &status) != 0) return 1;
  const uint64_t* words = mmap(NULL, (size_t)status.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
  if (words == MAP_FAILED) return 2;
  uint64_t sum = 0;
  for (size_t i = 0; i < (size_t)status.st_size / 8; ++i) sum += words[i];
  if (munmap((void*)words, (size_t)status.st_size) != 0) return 3;
  /* Whatever it is, it depends on all of it. */
  return sum == 0;
}
