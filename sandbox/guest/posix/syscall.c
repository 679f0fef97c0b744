/* The C library's system calls, by Linux's numbers for x86-64. What is not here is -ENOSYS. */
#include <errno.h>
#include <fcntl.h>
#include <sys/syscall.h>
#include <sys/time.h>

#include "posix.h"

#define P(x) ((void*)(x))

/* Without a time, as long as it takes. */
static int64_t of_timespec(const struct timespec* t) {
  return t == NULL ? -1 : t->tv_sec * 1000000000 + t->tv_nsec;
}

static int64_t of_timeval(const struct timeval* t) {
  return t == NULL ? -1 : t->tv_sec * 1000000000 + t->tv_usec * 1000;
}

static long file_call(long number, long a, long b, long c, long d, long e) {
  const int fd = (int)a;
  switch (number) {
    case SYS_read:
      return sys_read(fd, P(b), (size_t)c);
    case SYS_write:
      return sys_write(fd, P(b), (size_t)c);
    case SYS_readv:
      return sys_readv(fd, P(b), (int)c);
    case SYS_writev:
      return sys_writev(fd, P(b), (int)c);
    case SYS_pread64:
      return sys_pread(fd, P(b), (size_t)c, d);
    case SYS_pwrite64:
      return sys_pwrite(fd, P(b), (size_t)c, d);
    case SYS_preadv:
      return sys_preadv(fd, P(b), (int)c, d);
    case SYS_pwritev:
      return sys_pwritev(fd, P(b), (int)c, d);
    case SYS_close:
      return sys_close(fd);
    case SYS_lseek:
      return sys_lseek(fd, b, (int)c);
    case SYS_fstat:
      return sys_fstat(fd, P(b));
    case SYS_ftruncate:
      return sys_ftruncate(fd, b);
    case SYS_getdents64:
      return sys_getdents(fd, P(b), (size_t)c);
    case SYS_fcntl:
      return sys_fcntl(fd, (int)b, c);
    case SYS_ioctl:
      return sys_ioctl(fd, (unsigned long)b, P(c));
    case SYS_dup:
      return sys_dup(fd);
    case SYS_dup2:
      return sys_dup2(fd, (int)b, 0, false);
    case SYS_dup3:
      return sys_dup2(fd, (int)b, (int)c, true);
    case SYS_fsync:
    case SYS_fdatasync:
    case SYS_flock:
      return sys_fsync(fd);
    case SYS_fchdir:
      return sys_fchdir(fd);
    case SYS_fchmod:
    case SYS_fchown:
      return sys_fsync(fd);
    case SYS_fstatfs:
      return zvm_file(fd) == NULL ? -EBADF : sys_statfs(NULL, P(b));
    case SYS_poll:
      return sys_poll(P(a), (unsigned long)b, (int)c * INT64_C(1000000));
    case SYS_ppoll:
      return sys_poll(P(a), (unsigned long)b, of_timespec(P(c)));
    case SYS_select:
      return sys_select(fd, P(b), P(c), P(d), of_timeval(P(e)));
    case SYS_pselect6:
      return sys_select(fd, P(b), P(c), P(d), of_timespec(P(e)));
    default:
      return -ENOSYS;
  }
}

static long path_call(long number, long a, long b, long c, long d, long e) {
  const int at = (int)a;
  switch (number) {
    case SYS_open:
      return sys_open(AT_FDCWD, P(a), (int)b, (unsigned)c);
    case SYS_openat:
      return sys_open(at, P(b), (int)c, (unsigned)d);
    case SYS_creat:
      return sys_open(AT_FDCWD, P(a), O_CREAT | O_WRONLY | O_TRUNC, (unsigned)b);
    case SYS_stat:
    case SYS_lstat:
      return sys_stat(AT_FDCWD, P(a), P(b), 0);
    case SYS_newfstatat:
      return sys_stat(at, P(b), P(c), (int)d);
    case SYS_statx:
      return sys_statx(at, P(b), (int)c, (unsigned)d, P(e));
    case SYS_access:
      return sys_access(AT_FDCWD, P(a), (int)b);
    case SYS_faccessat:
    case SYS_faccessat2:
      return sys_access(at, P(b), (int)c);
    case SYS_unlink:
      return sys_unlink(AT_FDCWD, P(a), 0);
    case SYS_rmdir:
      return sys_unlink(AT_FDCWD, P(a), AT_REMOVEDIR);
    case SYS_unlinkat:
      return sys_unlink(at, P(b), (int)c);
    case SYS_rename:
      return sys_rename(AT_FDCWD, P(a), AT_FDCWD, P(b), 0);
    case SYS_renameat:
      return sys_rename(at, P(b), (int)c, P(d), 0);
    case SYS_renameat2:
      return sys_rename(at, P(b), (int)c, P(d), (unsigned)e);
    case SYS_link:
      return sys_link(AT_FDCWD, P(a), AT_FDCWD, P(b));
    case SYS_linkat:
      return sys_link(at, P(b), (int)c, P(d));
    case SYS_mkdir:
      return sys_mkdir(AT_FDCWD, P(a), (unsigned)b);
    case SYS_mkdirat:
      return sys_mkdir(at, P(b), (unsigned)c);
    case SYS_chmod:
      return sys_chmod(AT_FDCWD, P(a), (unsigned)b);
    case SYS_fchmodat:
      return sys_chmod(at, P(b), (unsigned)c);
    case SYS_chown:
    case SYS_lchown:
      return sys_access(AT_FDCWD, P(a), 0);
    case SYS_fchownat:
      return sys_access(at, P(b), 0);
    case SYS_truncate:
      return sys_truncate(P(a), b);
    case SYS_readlink:
      return sys_readlink(AT_FDCWD, P(a));
    case SYS_readlinkat:
      return sys_readlink(at, P(b));
    case SYS_getcwd:
      return sys_getcwd(P(a), (size_t)b);
    case SYS_chdir:
      return sys_chdir(P(a));
    case SYS_umask:
      return sys_umask((unsigned)a);
    case SYS_utimensat:
      return sys_utimens(at, P(b), P(c));
    case SYS_statfs:
      return sys_statfs(P(a), P(b));
    default:
      return -ENOSYS;
  }
}

static long memory_or_time_call(long number, long a, long b, long c, long d, long e, long f) {
  switch (number) {
    case SYS_brk:
      return sys_brk((uintptr_t)a);
    case SYS_mmap:
      return sys_mmap(P(a), (size_t)b, (int)c, (int)d, (int)e, f);
    case SYS_munmap:
      return sys_munmap(P(a), (size_t)b);
    case SYS_mremap:
      return sys_mremap(P(a), (size_t)b, (size_t)c, (int)d, P(e));
    case SYS_madvise:
      return sys_madvise(P(a), (size_t)b, (int)c);
    case SYS_mprotect:
      return sys_mprotect(P(a), (size_t)b, (int)c);
    case SYS_msync:
      return 0;
    case SYS_clock_gettime:
      return sys_clock_gettime((int)a, P(b));
    case SYS_clock_getres:
      return sys_clock_getres((int)a, P(b));
    case SYS_clock_nanosleep:
      return sys_clock_nanosleep((int)a, (int)b, P(c));
    case SYS_nanosleep:
      return sys_nanosleep(P(a));
    case SYS_gettimeofday:
      return sys_gettimeofday(P(a));
    case SYS_time:
      return sys_time(P(a));
    case SYS_times:
      return sys_times(P(a));
    default:
      return -ENOSYS;
  }
}

static long process_call(long number, long a, long b, long c, long d) {
  switch (number) {
    case SYS_exit:
    case SYS_exit_group:
      sys_exit((int)a);
    case SYS_getpid:
    case SYS_gettid:
    case SYS_getpgrp:
    case SYS_getpgid:
    case SYS_getsid:
    case SYS_set_tid_address:
      return 1;
    case SYS_getppid:
      return 0;
    case SYS_getuid:
    case SYS_geteuid:
    case SYS_getgid:
    case SYS_getegid:
      return 1000;
    case SYS_getgroups:
      return 0;
    case SYS_rt_sigaction:
      return sys_signal_action((int)a, P(b), P(c));
    case SYS_rt_sigprocmask:
      if (c != 0) *(unsigned long*)c = 0;
      return 0;
    case SYS_sigaltstack:
    case SYS_sched_yield:
    case SYS_futex:
    case SYS_membarrier:
    case SYS_sync:
      return 0;
    case SYS_kill:
      return a == 1 || a == 0 ? sys_raise((int)b) : -ESRCH;
    case SYS_tkill:
      return sys_raise((int)b);
    case SYS_tgkill:
      return sys_raise((int)c);
    case SYS_uname:
      return sys_uname(P(a));
    case SYS_getrlimit:
      return sys_resource_limit((int)a, P(b));
    case SYS_prlimit64:
      return c != 0 ? -EPERM : sys_resource_limit((int)b, P(d));
    case SYS_getrusage:
      return sys_getrusage(P(b));
    case SYS_sysinfo:
      return sys_sysinfo(P(a));
    case SYS_getrandom:
      zvm_random(P(a), (size_t)b);
      return b;
    default:
      return -ENOSYS;
  }
}

/* Called by the C library in place of the system call instruction. */
long __zvm_syscall(long number, long a, long b, long c, long d, long e, long f) {
  long result = file_call(number, a, b, c, d, e);
  if (result == -ENOSYS) result = path_call(number, a, b, c, d, e);
  if (result == -ENOSYS) result = memory_or_time_call(number, a, b, c, d, e, f);
  if (result == -ENOSYS) result = process_call(number, a, b, c, d);
  return result;
}
