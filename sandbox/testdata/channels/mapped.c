/* What a guest can do with a channel that is mapped: read it in place, by mmap, read and stdio,
 * with the same bytes; not write it, not run it. Exits with the number of the first thing that
 * fails. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include <zvm.h>

int main(void) {
  const struct ZVMChannel* channel = NULL;
  int handle = 0;
  for (int i = 0; i < MANIFEST->channels_count; ++i) {
    if (strcmp(MANIFEST->channels[i].name, "/dev/input") == 0)
      channel = &MANIFEST->channels[handle = i];
  }
  if (channel == NULL || channel->map == NULL) return 1;
  if (channel->map_size != 10000 || channel->size != 10000) return 2;
  const char* bytes = channel->map;
  if (bytes[0] != 'A' || bytes[9999] != 'Z' || bytes[10000] != 0 || bytes[12287] != 0) return 3;

  const int fd = open("/dev/input", O_RDONLY);
  if (mmap(NULL, 10000, PROT_READ, MAP_PRIVATE, fd, 0) != bytes) return 4;
  if (mmap(NULL, 5904, PROT_READ, MAP_SHARED, fd, 4096) != bytes + 4096) return 5;
  char* copy = mmap(NULL, 10000, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
  if (copy == MAP_FAILED || copy == bytes || memcmp(copy, bytes, 10000) != 0) return 6;
  copy[0] = 'x';
  if (bytes[0] != 'A') return 7;
  if (munmap((void*)bytes, 10000) != 0 || bytes[0] != 'A') return 8;
  if (mprotect((void*)bytes, 4096, PROT_READ | PROT_WRITE) != -1 || errno != EACCES) return 9;

  static char buffer[20000];
  if (read(fd, buffer, 20000) != 10000 || memcmp(buffer, bytes, 10000) != 0) return 10;
  if (read(fd, buffer, 1) != 0) return 11;
  if (pread(fd, buffer, 10, 9995) != 5 || pread(fd, buffer, 10, 20000) != 0) return 12;
  FILE* file = fopen("/dev/input", "r");
  if (fseek(file, 9999, SEEK_SET) != 0 || fgetc(file) != 'Z' || fgetc(file) != EOF) return 13;

  /* The host neither writes there nor makes it code, and reads from it. */
  if (zvm_pread(0, (void*)bytes, 1, 0) != -EINVAL) return 14;
  if (zvm_jail((void*)bytes, 4096) != -EINVAL) return 15;
  if (zvm_pwrite(1, bytes, 12288, 0) != 12288) return 16;
  if (zvm_pwrite(1, bytes, 12289, 0) != -EINVAL) return 17;
  /* Mapping used up its get and its bytes. */
  if (zvm_pread(handle, buffer, 1, 0) != -EDQUOT) return 18;
  if (MANIFEST->memory_size != 64 << 20) return 19;
  return 0;
}
