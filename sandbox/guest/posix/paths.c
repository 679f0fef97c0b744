/* Calls that name a file. /dev is made of channels and devices, everything else is in memory. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "posix.h"

static char working_directory[ZVM_PATH_MAX] = "/";
static unsigned umask_now = 022;

/* Appends the parts of `path` to the normal path in `out` of `length` bytes (0 is the root). */
static long append(char* out, size_t* length, const char* path) {
  while (*path != '\0') {
    const size_t n = strcspn(path, "/");
    if (n == 0 || (n == 1 && path[0] == '.')) {
      /* Nothing. */
    } else if (n == 2 && path[0] == '.' && path[1] == '.') {
      while (*length > 0 && out[--*length] != '/') continue;
    } else {
      if (n > 255 || *length + n + 2 > ZVM_PATH_MAX) return -ENAMETOOLONG;
      out[(*length)++] = '/';
      memcpy(out + *length, path, n);
      *length += n;
    }
    path += n;
    path += strspn(path, "/");
  }
  return 0;
}

long zvm_absolute(int at, const char* path, char out[ZVM_PATH_MAX]) {
  size_t length = 0;
  if (path == NULL) return -EFAULT;
  if (path[0] == '\0') return -ENOENT;
  long error = 0;
  if (path[0] != '/') {
    const char* base = working_directory;
    if (at != AT_FDCWD) {
      const struct file* directory = zvm_file(at);
      if (directory == NULL) return -EBADF;
      if (directory->path == NULL) return -ENOTDIR;
      base = directory->path;
    }
    error = append(out, &length, base);
  }
  if (error == 0) error = append(out, &length, path);
  if (error < 0) return error;
  if (length == 0) out[length++] = '/';
  out[length] = '\0';
  return 0;
}

static long stat_absolute(const char* absolute, struct kernel_stat* out) {
  memset(out, 0, sizeof *out);
  return zvm_is_dev_path(absolute) ? zvm_dev_stat(absolute, out) : zvm_memfs_stat(absolute, out);
}

long sys_stat(int at, const char* path, struct kernel_stat* out, int flags) {
  if (flags & AT_EMPTY_PATH && path[0] == '\0' && at != AT_FDCWD) return sys_fstat(at, out);
  char absolute[ZVM_PATH_MAX];
  const long error = zvm_absolute(at, path, absolute);
  return error < 0 ? error : stat_absolute(absolute, out);
}

long sys_statx(int at, const char* path, int flags, unsigned mask, void* out) {
  (void)mask;
  struct kernel_stat from;
  const long error = sys_stat(at, path, &from, flags);
  if (error < 0) return error;
  struct {
    uint32_t mask, blksize;
    uint64_t attributes;
    uint32_t nlink, uid, gid;
    uint16_t mode, pad;
    uint64_t ino, size, blocks, attributes_mask;
    struct {
      int64_t sec;
      uint32_t nsec;
      int32_t pad;
    } atime, btime, ctime, mtime;
    uint32_t rdev_major, rdev_minor, dev_major, dev_minor;
    uint64_t spare[14];
  } to = {.mask = 0x7ff,
          .blksize = (uint32_t)from.st_blksize,
          .nlink = (uint32_t)from.st_nlink,
          .uid = from.st_uid,
          .gid = from.st_gid,
          .mode = (uint16_t)from.st_mode,
          .ino = from.st_ino,
          .size = (uint64_t)from.st_size,
          .blocks = (uint64_t)from.st_blocks,
          .atime = {.sec = from.st_atim.tv_sec, .nsec = (uint32_t)from.st_atim.tv_nsec},
          .ctime = {.sec = from.st_ctim.tv_sec, .nsec = (uint32_t)from.st_ctim.tv_nsec},
          .mtime = {.sec = from.st_mtim.tv_sec, .nsec = (uint32_t)from.st_mtim.tv_nsec}};
  memcpy(out, &to, sizeof to);
  return 0;
}

long sys_access(int at, const char* path, int mode) {
  struct kernel_stat found;
  const long error = sys_stat(at, path, &found, 0);
  if (error < 0) return error;
  if (mode & R_OK && !(found.st_mode & 0444)) return -EACCES;
  if (mode & W_OK && !(found.st_mode & 0222)) return -EACCES;
  if (mode & X_OK && !(found.st_mode & 0111)) return -EACCES;
  return 0;
}

/* For calls that change a name: none in /dev can be. */
static long changeable(int at, const char* path, char absolute[ZVM_PATH_MAX], long dev_error) {
  const long error = zvm_absolute(at, path, absolute);
  if (error < 0) return error;
  return zvm_is_dev_path(absolute) ? dev_error : 0;
}

long sys_unlink(int at, const char* path, int flags) {
  char absolute[ZVM_PATH_MAX];
  const long error = changeable(at, path, absolute, -EPERM);
  return error < 0 ? error : zvm_memfs_remove(absolute, flags & AT_REMOVEDIR);
}

long sys_rename(int from_at, const char* from, int to_at, const char* to, unsigned flags) {
  char old_name[ZVM_PATH_MAX], new_name[ZVM_PATH_MAX];
  long error = changeable(from_at, from, old_name, -EPERM);
  if (error == 0) error = changeable(to_at, to, new_name, -EPERM);
  if (error < 0) return error;
  struct kernel_stat found;
  if (flags & 1 && zvm_memfs_stat(new_name, &found) == 0) return -EEXIST; /* RENAME_NOREPLACE */
  if (flags & ~1u) return -EINVAL;
  return zvm_memfs_rename(old_name, new_name);
}

long sys_link(int from_at, const char* from, int to_at, const char* to) {
  char old_name[ZVM_PATH_MAX], new_name[ZVM_PATH_MAX];
  long error = changeable(from_at, from, old_name, -EPERM);
  if (error == 0) error = changeable(to_at, to, new_name, -EPERM);
  return error < 0 ? error : zvm_memfs_link(old_name, new_name);
}

long sys_mkdir(int at, const char* path, unsigned mode) {
  char absolute[ZVM_PATH_MAX];
  const long error = changeable(at, path, absolute, -EPERM);
  return error < 0 ? error : zvm_memfs_mkdir(absolute, mode & ~umask_now & 07777);
}

long sys_chmod(int at, const char* path, unsigned mode) {
  char absolute[ZVM_PATH_MAX];
  const long error = changeable(at, path, absolute, -EPERM);
  return error < 0 ? error : zvm_memfs_chmod(absolute, mode & 07777);
}

long sys_truncate(const char* path, int64_t size) {
  const long fd = sys_open(AT_FDCWD, path, O_WRONLY, 0);
  if (fd < 0) return fd;
  const long result = sys_ftruncate((int)fd, size);
  sys_close((int)fd);
  return result;
}

/* There are no symbolic links: a name that exists is not one. musl's realpath needs just this. */
long sys_readlink(int at, const char* path) {
  struct kernel_stat found;
  const long error = sys_stat(at, path, &found, 0);
  return error < 0 ? error : -EINVAL;
}

long sys_getcwd(char* buffer, size_t size) {
  const size_t length = strlen(working_directory) + 1;
  if (size < length) return -ERANGE;
  memcpy(buffer, working_directory, length);
  return (long)length;
}

static long change_to(const char* absolute) {
  struct kernel_stat found;
  const long error = stat_absolute(absolute, &found);
  if (error < 0) return error;
  if (!S_ISDIR(found.st_mode)) return -ENOTDIR;
  memcpy(working_directory, absolute, strlen(absolute) + 1);
  return 0;
}

long sys_chdir(const char* path) {
  char absolute[ZVM_PATH_MAX];
  const long error = zvm_absolute(AT_FDCWD, path, absolute);
  return error < 0 ? error : change_to(absolute);
}

long sys_fchdir(int fd) {
  const struct file* file = zvm_file(fd);
  if (file == NULL) return -EBADF;
  return file->path == NULL ? -ENOTDIR : change_to(file->path);
}

unsigned zvm_umask(void) { return umask_now; }

long sys_umask(unsigned mask) {
  const unsigned old = umask_now;
  umask_now = mask & 0777;
  return old;
}

long sys_utimens(int at, const char* path, const struct timespec times[2]) {
  if (path == NULL) { /* futimens */
    const struct file* file = zvm_file(at);
    return file == NULL ? -EBADF : 0;
  }
  char absolute[ZVM_PATH_MAX];
  const long error = changeable(at, path, absolute, -EPERM);
  return error < 0 ? error : zvm_memfs_utimens(absolute, times);
}

long sys_statfs(const char* path, void* out) {
  struct kernel_stat found;
  const long error = path == NULL ? 0 : sys_stat(AT_FDCWD, path, &found, 0);
  if (error < 0) return error;
  struct statfs* to = out;
  memset(to, 0, sizeof *to);
  to->f_type = 0x01021994; /* a file system in memory, as Linux numbers them */
  to->f_bsize = to->f_frsize = 4096;
  to->f_blocks = zvm_memory_total() / 4096;
  to->f_bfree = to->f_bavail = zvm_memory_free() / 4096;
  to->f_namelen = 255;
  return 0;
}
