/* Inside of the guests' POSIX layer: what the C library asks of a kernel, answered with the six
 * calls of zvm.h and the guest's own memory. One thread, no signals from outside. Functions named
 * sys_* take the arguments of the Linux system call and return its result: >= 0, or a negative
 * errno number. */
#ifndef ZVM_POSIX_H_
#define ZVM_POSIX_H_

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <time.h>
#include <zvm.h>

/* What the kernel calls struct stat on x86-64. */
struct kernel_stat {
  uint64_t st_dev, st_ino, st_nlink;
  uint32_t st_mode, st_uid, st_gid, pad0;
  uint64_t st_rdev;
  int64_t st_size, st_blksize, st_blocks;
  struct timespec st_atim, st_mtim, st_ctim;
  int64_t unused[3];
};

struct node; /* of the memory file system: memfs.c */
struct file;

/* What an open file can do; a null entry gives the errno that the caller documents. Offsets are
 * given; a file that has no position ignores them. */
struct file_operations {
  long (*read)(struct file* file, void* buffer, size_t size, int64_t offset);
  long (*write)(struct file* file, const void* buffer, size_t size, int64_t offset);
  long (*stat)(struct file* file, struct kernel_stat* out);
  int64_t (*size)(struct file* file); /* for SEEK_END; null: cannot seek, ESPIPE */
  long (*truncate)(struct file* file, int64_t size);
  /* Of a directory: gives the first entry at or after `*cursor`, a position that starts at 0, and
   * moves the cursor behind it. 0 when there is none, else 1. */
  int (*entry)(struct file* file, int64_t* cursor, const char** name, uint64_t* inode,
               unsigned char* type);
  void (*close)(struct file* file);
};

/* An open file description; dup'ed handles share one. */
struct file {
  int references;
  int flags; /* of open: access mode, O_APPEND, O_NONBLOCK */
  int64_t position;
  const struct file_operations* operations;
  int channel;       /* channels.c; -1: none */
  int device;        /* devices.c */
  struct node* node; /* memfs.c */
  char* path;        /* of a directory, as opened */
  char* listing;     /* memfs.c: what a directory held when it was first listed */
};

/* --- files.c: handles, and the calls that work on one --- */
struct file* zvm_new_file(const struct file_operations* operations, int flags);
void zvm_files_start(void);
struct file* zvm_file(int fd); /* null when it is not open */
long zvm_install(struct file* file, int lowest, bool close_on_exec);

long sys_open(int at, const char* path, int flags, unsigned mode);
long sys_close(int fd);
long sys_read(int fd, void* buffer, size_t size);
long sys_write(int fd, const void* buffer, size_t size);
long sys_pread(int fd, void* buffer, size_t size, int64_t offset);
long sys_pwrite(int fd, const void* buffer, size_t size, int64_t offset);
long sys_readv(int fd, const void* vectors, int count);
long sys_writev(int fd, const void* vectors, int count);
long sys_preadv(int fd, const void* vectors, int count, int64_t offset);
long sys_pwritev(int fd, const void* vectors, int count, int64_t offset);
long sys_lseek(int fd, int64_t offset, int whence);
long sys_fstat(int fd, struct kernel_stat* out);
long sys_ftruncate(int fd, int64_t size);
long sys_getdents(int fd, void* buffer, size_t size);
long sys_fcntl(int fd, int command, long argument);
long sys_ioctl(int fd, unsigned long request, void* argument);
long sys_dup(int fd);
long sys_dup2(int from, int to, int flags, bool same_is_error);
long sys_fsync(int fd);

/* --- paths.c: calls that name a file --- */
#define ZVM_PATH_MAX 4096
/* `path` relative to `at` as an absolute path without ".", ".." and "//". Returns 0 or -errno. */
long zvm_absolute(int at, const char* path, char out[ZVM_PATH_MAX]);
long sys_stat(int at, const char* path, struct kernel_stat* out, int flags);
long sys_statx(int at, const char* path, int flags, unsigned mask, void* out);
long sys_access(int at, const char* path, int mode);
long sys_unlink(int at, const char* path, int flags);
long sys_rename(int from_at, const char* from, int to_at, const char* to, unsigned flags);
long sys_link(int from_at, const char* from, int to_at, const char* to);
long sys_mkdir(int at, const char* path, unsigned mode);
long sys_chmod(int at, const char* path, unsigned mode);
long sys_truncate(const char* path, int64_t size);
long sys_readlink(int at, const char* path);
long sys_getcwd(char* buffer, size_t size);
long sys_chdir(const char* path);
long sys_fchdir(int fd);
long sys_umask(unsigned mask);
long sys_utimens(int at, const char* path, const struct timespec times[2]);
long sys_statfs(const char* path, void* out);
unsigned zvm_umask(void);

/* --- channels.c: the channels that the manifest gives, as files --- */
struct file* zvm_channel_file(int channel, int flags);
long zvm_channel_open(int channel, int flags, struct file** out);
void zvm_channel_stat(int channel, struct kernel_stat* out);
int zvm_channel_count(void);
const char* zvm_channel_name(int channel);
int zvm_find_channel(const char* alias);                   /* -1: none */
int zvm_channels_below(const char* path);                  /* the first one; -1: none */
void zvm_map_channel(const char* alias, const char* mode); /* nvram's [mapping] */
bool zvm_is_terminal(const struct file* file);
/* Where `size` bytes of a mapped channel at `offset` are in memory, pages at its end filled up;
 * null if they are not. And whether memory is of such a channel. */
const void* zvm_channel_map(const struct file* file, int64_t offset, size_t size);
bool zvm_in_channel_map(const void* address, size_t size);
/* Reads all that is left; stops at `limit`. Returns bytes or -errno. */
long zvm_read_channel(int channel, char* buffer, size_t limit);

/* --- dev.c: the directory /dev --- */
bool zvm_is_dev_path(const char* path);
long zvm_dev_open(const char* path, int flags, struct file** out);
long zvm_dev_stat(const char* path, struct kernel_stat* out);

/* --- devices.c: /dev/null and its like --- */
int zvm_device_count(void);
const char* zvm_device_name(int device); /* "null" */
struct file* zvm_device_file(int device, int flags);
void zvm_device_stat(int device, struct kernel_stat* out);

/* --- memfs.c: files and directories in memory --- */
long zvm_memfs_open(const char* path, int flags, unsigned mode, struct file** out);
long zvm_memfs_stat(const char* path, struct kernel_stat* out);
long zvm_memfs_mkdir(const char* path, unsigned mode);
long zvm_memfs_remove(const char* path, bool directory);
long zvm_memfs_rename(const char* from, const char* to);
long zvm_memfs_link(const char* from, const char* to);
long zvm_memfs_chmod(const char* path, unsigned mode);
long zvm_memfs_utimens(const char* path, const struct timespec times[2]);
void zvm_memfs_start(void);

/* --- memory.c: the heap in pages --- */
void zvm_memory_start(void);
void* zvm_pages_new(size_t bytes); /* zeroed; null when there are none */
void* zvm_pages_resize(void* pages, size_t old_bytes, size_t new_bytes, bool may_move);
void zvm_pages_free(void* pages, size_t bytes);
uint64_t zvm_memory_total(void);
uint64_t zvm_memory_free(void);
long sys_brk(uintptr_t address);
long sys_mmap(void* address, size_t size, int protection, int flags, int fd, int64_t offset);
long sys_munmap(void* address, size_t size);
long sys_mremap(void* address, size_t old_size, size_t new_size, int flags, void* new_address);
long sys_madvise(void* address, size_t size, int advice);
long sys_mprotect(void* address, size_t size, int protection);

/* --- clock.c: a clock that depends on nothing but what the guest did --- */
void zvm_clock_start(int64_t seconds);
struct timespec zvm_now(void); /* of the day; one microsecond passes */
long sys_clock_gettime(int clock, struct timespec* out);
long sys_clock_getres(int clock, struct timespec* out);
long sys_nanosleep(const struct timespec* wanted);
long sys_clock_nanosleep(int clock, int flags, const struct timespec* wanted);
long sys_gettimeofday(void* out);
long sys_time(int64_t* out);
long sys_times(void* out);
void zvm_random_start(uint64_t seed);
void zvm_random(void* buffer, size_t size); /* the same bytes in each run */

/* --- process.c: a process alone in its world --- */
long sys_signal_action(int signal, const void* action, void* old);
long sys_raise(int signal);
long sys_uname(void* out);
long sys_resource_limit(int resource, void* old);
long sys_getrusage(void* out);
long sys_sysinfo(void* out);
long sys_poll(void* fds, unsigned long count, int64_t nanoseconds);
long sys_select(int count, void* read, void* write, void* except, int64_t nanoseconds);
_Noreturn void sys_exit(int code);

/* --- nvram.c: /dev/nvram --- */
#define NVRAM_BYTES 10240 /* what is read of it */
/* As many arguments and variables as fit, both together: each is a byte and a blank at least. */
#define NVRAM_STRINGS (NVRAM_BYTES / 2)
void zvm_nvram_start(void); /* reads it, sets clock and mapping, keeps the rest */
void zvm_nvram_again(void); /* after a fork: zfork.c */
size_t zvm_nvram_arguments(char*** out);
size_t zvm_nvram_environment(char*** out);

#endif
