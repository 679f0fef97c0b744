/* Handles: the table of open files and the calls that work on one. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include "posix.h"

#define MAX_HANDLES 1024

static struct {
  struct file* file;
  bool close_on_exec;
} handles[MAX_HANDLES];

void zvm_files_start(void) {
  static struct file standard[3];
  for (int i = 0; i < 3; ++i) {
    struct file* opened = zvm_channel_file(i, i == 0 ? O_RDONLY : O_WRONLY);
    if (opened == NULL) continue;
    /* The first three are open before there is a heap. */
    standard[i] = *opened;
    handles[i].file = &standard[i];
    standard[i].references = 2; /* never freed */
  }
}

struct file* zvm_new_file(const struct file_operations* operations, int flags) {
  struct file* file = calloc(1, sizeof *file);
  if (file == NULL) return NULL;
  file->references = 1;
  file->flags = flags;
  file->operations = operations;
  file->channel = file->device = -1;
  return file;
}

struct file* zvm_file(int fd) { return fd >= 0 && fd < MAX_HANDLES ? handles[fd].file : NULL; }

static void release(struct file* file) {
  if (--file->references > 0) return;
  if (file->operations->close != NULL) file->operations->close(file);
  free(file->path);
  free(file->listing);
  free(file);
}

long zvm_install(struct file* file, int lowest, bool close_on_exec) {
  for (int fd = lowest < 0 ? 0 : lowest; fd < MAX_HANDLES; ++fd) {
    if (handles[fd].file != NULL) continue;
    handles[fd].file = file;
    handles[fd].close_on_exec = close_on_exec;
    return fd;
  }
  release(file);
  return -EMFILE;
}

long sys_open(int at, const char* path, int flags, unsigned mode) {
  char absolute[ZVM_PATH_MAX];
  long error = zvm_absolute(at, path, absolute);
  if (error < 0) return error;
  struct file* file = NULL;
  error = zvm_is_dev_path(absolute)
              ? zvm_dev_open(absolute, flags, &file)
              : zvm_memfs_open(absolute, flags, mode & ~zvm_umask() & 07777, &file);
  if (error < 0) return error;
  return zvm_install(file, 0, flags & O_CLOEXEC);
}

long sys_close(int fd) {
  struct file* file = zvm_file(fd);
  if (file == NULL) return -EBADF;
  handles[fd].file = NULL;
  release(file);
  return 0;
}

static bool readable(const struct file* file) { return (file->flags & O_ACCMODE) != O_WRONLY; }
static bool writable(const struct file* file) { return (file->flags & O_ACCMODE) != O_RDONLY; }

static long read_at(struct file* file, void* buffer, size_t size, int64_t offset) {
  if (file == NULL || !readable(file)) return -EBADF;
  if (file->operations->read == NULL) return -EISDIR;
  if (size > SSIZE_MAX) return -EINVAL;
  return file->operations->read(file, buffer, size, offset);
}

static long write_at(struct file* file, const void* buffer, size_t size, int64_t offset) {
  if (file == NULL || !writable(file)) return -EBADF;
  if (file->operations->write == NULL) return -EBADF;
  if (size > SSIZE_MAX) return -EINVAL;
  return file->operations->write(file, buffer, size, offset);
}

long sys_read(int fd, void* buffer, size_t size) {
  struct file* file = zvm_file(fd);
  const long n = read_at(file, buffer, size, file == NULL ? 0 : file->position);
  if (n > 0) file->position += n;
  return n;
}

long sys_write(int fd, const void* buffer, size_t size) {
  struct file* file = zvm_file(fd);
  if (file != NULL && file->flags & O_APPEND && file->operations->size != NULL) {
    file->position = file->operations->size(file);
  }
  const long n = write_at(file, buffer, size, file == NULL ? 0 : file->position);
  if (n > 0) file->position += n;
  return n;
}

static long positioned(struct file* file, int64_t offset) {
  if (file == NULL) return -EBADF;
  if (file->operations->size == NULL) return -ESPIPE;
  return offset < 0 ? -EINVAL : 0;
}

long sys_pread(int fd, void* buffer, size_t size, int64_t offset) {
  const long error = positioned(zvm_file(fd), offset);
  return error < 0 ? error : read_at(zvm_file(fd), buffer, size, offset);
}

long sys_pwrite(int fd, const void* buffer, size_t size, int64_t offset) {
  const long error = positioned(zvm_file(fd), offset);
  return error < 0 ? error : write_at(zvm_file(fd), buffer, size, offset);
}

/* One call for each part, as far as they go: what moved counts more than what failed after it. */
static long each_part(int fd, const struct iovec* parts, int count, int64_t offset, bool write,
                      bool positioned_call) {
  if (count < 0 || count > IOV_MAX) return -EINVAL;
  if (zvm_file(fd) == NULL) return -EBADF;
  long total = 0;
  for (int i = 0; i < count; ++i) {
    if (parts[i].iov_len == 0) continue;
    long n;
    if (positioned_call) {
      n = write ? sys_pwrite(fd, parts[i].iov_base, parts[i].iov_len, offset + total)
                : sys_pread(fd, parts[i].iov_base, parts[i].iov_len, offset + total);
    } else {
      n = write ? sys_write(fd, parts[i].iov_base, parts[i].iov_len)
                : sys_read(fd, parts[i].iov_base, parts[i].iov_len);
    }
    if (n < 0) return total > 0 ? total : n;
    total += n;
    if ((size_t)n < parts[i].iov_len) break;
  }
  return total;
}

long sys_readv(int fd, const void* vectors, int count) {
  return each_part(fd, vectors, count, 0, false, false);
}
long sys_writev(int fd, const void* vectors, int count) {
  return each_part(fd, vectors, count, 0, true, false);
}
long sys_preadv(int fd, const void* vectors, int count, int64_t offset) {
  return each_part(fd, vectors, count, offset, false, true);
}
long sys_pwritev(int fd, const void* vectors, int count, int64_t offset) {
  return each_part(fd, vectors, count, offset, true, true);
}

long sys_lseek(int fd, int64_t offset, int whence) {
  struct file* file = zvm_file(fd);
  if (file == NULL) return -EBADF;
  if (file->operations->entry != NULL) { /* a directory: rewinddir and seekdir */
    if (whence != SEEK_SET || offset < 0) return -EINVAL;
    return file->position = offset;
  }
  if (file->operations->size == NULL) return -ESPIPE;
  int64_t base = 0;
  if (whence == SEEK_CUR)
    base = file->position;
  else if (whence == SEEK_END)
    base = file->operations->size(file);
  else if (whence != SEEK_SET)
    return -EINVAL;
  int64_t target;
  if (__builtin_add_overflow(base, offset, &target) || target < 0) return -EINVAL;
  return file->position = target;
}

long sys_fstat(int fd, struct kernel_stat* out) {
  struct file* file = zvm_file(fd);
  if (file == NULL) return -EBADF;
  memset(out, 0, sizeof *out);
  return file->operations->stat(file, out);
}

long sys_ftruncate(int fd, int64_t size) {
  struct file* file = zvm_file(fd);
  if (file == NULL) return -EBADF;
  if (size < 0 || !writable(file)) return -EINVAL;
  if (file->operations->truncate == NULL) return -EINVAL;
  return file->operations->truncate(file, size);
}

long sys_getdents(int fd, void* buffer, size_t size) {
  struct file* file = zvm_file(fd);
  if (file == NULL) return -EBADF;
  if (file->operations->entry == NULL) return -ENOTDIR;
  char* out = buffer;
  size_t used = 0;
  for (;;) {
    const char* name;
    uint64_t inode;
    unsigned char type;
    int64_t cursor = file->position;
    if (!file->operations->entry(file, &cursor, &name, &inode, &type)) break;
    const size_t length = strlen(name) + 1;
    const size_t record = (offsetof(struct dirent, d_name) + length + 7) & ~(size_t)7;
    if (record > size - used) {
      if (used == 0) return -EINVAL;
      break;
    }
    struct dirent* entry = (struct dirent*)(out + used);
    entry->d_ino = inode;
    entry->d_off = file->position = cursor;
    entry->d_reclen = (unsigned short)record;
    entry->d_type = type;
    memcpy(entry->d_name, name, length);
    used += record;
  }
  return (long)used;
}

long sys_fcntl(int fd, int command, long argument) {
  struct file* file = zvm_file(fd);
  if (file == NULL) return -EBADF;
  const int changeable = O_APPEND | O_NONBLOCK;
  switch (command) {
    case F_DUPFD:
    case F_DUPFD_CLOEXEC:
      if (argument < 0 || argument >= MAX_HANDLES) return -EINVAL;
      ++file->references;
      return zvm_install(file, (int)argument, command == F_DUPFD_CLOEXEC);
    case F_GETFD:
      return handles[fd].close_on_exec ? FD_CLOEXEC : 0;
    case F_SETFD:
      handles[fd].close_on_exec = argument & FD_CLOEXEC;
      return 0;
    case F_GETFL:
      return file->flags & (O_ACCMODE | changeable);
    case F_SETFL:
      file->flags = (file->flags & ~changeable) | ((int)argument & changeable);
      return 0;
    case F_GETLK:
      ((struct flock*)argument)->l_type = F_UNLCK;
      return 0; /* nobody else is here */
    case F_SETLK:
    case F_SETLKW:
      return 0;
    default:
      return -EINVAL;
  }
}

long sys_ioctl(int fd, unsigned long request, void* argument) {
  struct file* file = zvm_file(fd);
  if (file == NULL) return -EBADF;
  if (request != TIOCGWINSZ || !zvm_is_terminal(file)) return -ENOTTY;
  *(struct winsize*)argument = (struct winsize){.ws_row = 24, .ws_col = 80};
  return 0;
}

long sys_dup(int fd) { return sys_fcntl(fd, F_DUPFD, 0); }

long sys_dup2(int from, int to, int flags, bool same_is_error) {
  struct file* file = zvm_file(from);
  if (file == NULL || to < 0 || to >= MAX_HANDLES) return -EBADF;
  if (from == to) return same_is_error ? -EINVAL : to;
  if (handles[to].file != NULL) sys_close(to);
  ++file->references;
  handles[to].file = file;
  handles[to].close_on_exec = flags & O_CLOEXEC;
  return to;
}

long sys_fsync(int fd) { return zvm_file(fd) == NULL ? -EBADF : 0; }
