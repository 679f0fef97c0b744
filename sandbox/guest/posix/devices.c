/* The devices that a guest has without asking for a channel. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "posix.h"

enum { NULL_DEVICE, ZERO_DEVICE, FULL_DEVICE, RANDOM_DEVICE, URANDOM_DEVICE, DEVICE_COUNT };

static const char* const names[DEVICE_COUNT] = {"null", "zero", "full", "random", "urandom"};
static const unsigned char minors[DEVICE_COUNT] = {3, 5, 7, 8, 9}; /* as on Linux */

int zvm_device_count(void) { return DEVICE_COUNT; }
const char* zvm_device_name(int device) { return names[device]; }

static long device_read(struct file* file, void* buffer, size_t size, int64_t offset) {
  (void)offset;
  if (file->device == NULL_DEVICE) return 0;
  if (file->device >= RANDOM_DEVICE)
    zvm_random(buffer, size);
  else
    memset(buffer, 0, size);
  return (long)size;
}

static long device_write(struct file* file, const void* buffer, size_t size, int64_t offset) {
  (void)buffer;
  (void)offset;
  return file->device == FULL_DEVICE && size > 0 ? -ENOSPC : (long)size;
}

void zvm_device_stat(int device, struct kernel_stat* out) {
  out->st_dev = makedev(8, 1);
  out->st_ino = 100 + (unsigned)device;
  out->st_nlink = 1;
  out->st_mode = S_IFCHR | 0666;
  out->st_rdev = makedev(1, minors[device]);
  out->st_blksize = 4096;
}

static long device_stat(struct file* file, struct kernel_stat* out) {
  zvm_device_stat(file->device, out);
  return 0;
}

static int64_t device_size(struct file* file) {
  (void)file;
  return 0;
}

static long device_truncate(struct file* file, int64_t size) {
  (void)file;
  (void)size;
  return 0;
}

static const struct file_operations device_operations = {.read = device_read,
                                                         .write = device_write,
                                                         .stat = device_stat,
                                                         .size = device_size,
                                                         .truncate = device_truncate};

struct file* zvm_device_file(int device, int flags) {
  struct file* file = zvm_new_file(&device_operations, flags);
  if (file != NULL) file->device = device;
  return file;
}
