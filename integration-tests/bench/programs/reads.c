/* reads PATH PIECE TOTAL: preads TOTAL MiB of the file in pieces of PIECE bytes, front to back and
 * again, and prints a sum of one byte of each piece. */
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static _Alignas(4096) unsigned char buffer[1 << 20];

int main(int argc, char** argv) {
  if (argc != 4) return 2;
  const int file = open(argv[1], O_RDONLY);
  const size_t piece = strtoull(argv[2], NULL, 10);
  const int64_t total = atoll(argv[3]) << 20;
  struct stat status;
  if (file < 0 || fstat(file, &status) != 0 || piece == 0 || piece > sizeof buffer) return 1;
  uint64_t sum = 0;
  off_t at = 0;
  for (int64_t done = 0; done < total; done += (int64_t)piece, at += (off_t)piece) {
    if (at + (off_t)piece > status.st_size) at = 0;
    if (pread(file, buffer, piece, at) != (ssize_t)piece) return 3;
    sum = sum * 31 + buffer[done % (int64_t)piece];
  }
  printf("%llx\n", (unsigned long long)sum);
  return 0;
}
