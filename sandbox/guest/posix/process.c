/* A process alone in its world: identity, limits, signals to itself, waiting for nothing. */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/select.h>
#include <sys/sysinfo.h>
#include <sys/utsname.h>
#include <zvm.h>

#include "images.h"
#include "posix.h"

#define SIGNALS 65
#define MAX_ASKED 1024 /* as many files as can be open */

/* What the C library hands to rt_sigaction. */
struct kernel_action {
  void (*handler)(int);
  unsigned long flags;
  void (*restorer)(void);
  unsigned mask[2];
};

static struct kernel_action actions[SIGNALS];

long sys_signal_action(int signal, const void* action, void* old) {
  if (signal <= 0 || signal >= SIGNALS) return -EINVAL;
  if (action != NULL && (signal == SIGKILL || signal == SIGSTOP)) return -EINVAL;
  if (old != NULL) memcpy(old, &actions[signal], sizeof actions[signal]);
  if (action != NULL) memcpy(&actions[signal], action, sizeof actions[signal]);
  return 0;
}

static bool ignored_by_default(int signal) {
  return signal == SIGCHLD || signal == SIGCONT || signal == SIGURG || signal == SIGWINCH;
}

/* A signal comes only from the guest itself, so its handler is a function call. Without one, most
 * signals end the session as a fault, which its report shows. */
long sys_raise(int signal) {
  if (signal < 0 || signal >= SIGNALS) return -EINVAL;
  if (signal == 0) return 0;
  struct kernel_action* action = &actions[signal];
  if (action->handler == SIG_IGN) return 0;
  if (action->handler == SIG_DFL) {
    if (ignored_by_default(signal)) return 0;
    __builtin_trap();
  }
  void (*handler)(int) = action->handler;
  if (action->flags & SA_RESETHAND) action->handler = SIG_DFL;
  handler(signal);
  return 0;
}

long sys_uname(void* out) {
  struct utsname* to = out;
  memset(to, 0, sizeof *to);
  strcpy(to->sysname, "zerocloud");
  strcpy(to->nodename, "guest");
  strcpy(to->release, "1");
  strcpy(to->version, "1");
  strcpy(to->machine, "x86_64");
  return 0;
}

long sys_resource_limit(int resource, void* old) {
  if (old == NULL) return -EPERM;
  rlim_t value = RLIM_INFINITY;
  if (resource == RLIMIT_STACK) value = MANIFEST->stack_size;
  if (resource == RLIMIT_AS || resource == RLIMIT_DATA) value = MANIFEST->heap_size;
  if (resource == RLIMIT_NOFILE) value = 1024;
  if (resource == RLIMIT_CORE) value = 0;
  *(struct rlimit*)old = (struct rlimit){value, value};
  return 0;
}

long sys_getrusage(void* out) {
  const struct timespec now = zvm_now();
  /* What the kernel fills: up to the reserved words. */
  memset(out, 0, offsetof(struct rusage, __reserved));
  ((struct rusage*)out)->ru_utime.tv_usec = now.tv_nsec / 1000;
  return 0;
}

long sys_sysinfo(void* out) {
  struct sysinfo* to = out;
  memset(to, 0, sizeof *to);
  to->totalram = zvm_memory_total();
  to->freeram = zvm_memory_free();
  to->procs = 1;
  to->mem_unit = 1;
  return 0;
}

/* Asks the readiness channel about `count` handles; 0 if it has ended. */
static bool ask(uint32_t count, const int32_t* handles, bool wait, int64_t* available) {
  struct {
    struct ZVMReadinessQuery query;
    int32_t handles[MAX_ASKED];
  } question = {{count, wait}, {0}};
  memcpy(question.handles, handles, count * sizeof *handles);
  const int64_t size = (int64_t)(sizeof question.query + count * sizeof *handles);
  const int64_t answer_size = (int64_t)(count * sizeof *available);
  return zvm_pwrite(MANIFEST->readiness, &question, size, 0) == size &&
         zvm_pread(MANIFEST->readiness, available, answer_size, 0) == answer_size;
}

/* For those that want to read channels, if the host tells: waits for the first one to be ready, at
 * most if `wait`. Changes revents. */
static void poll_channels(struct pollfd* files, unsigned long count, bool wait) {
  int32_t handles[MAX_ASKED];
  unsigned long place[MAX_ASKED];
  int64_t available[MAX_ASKED];
  uint32_t asked = 0;
  for (unsigned long i = 0; i < count && asked < MAX_ASKED; ++i) {
    if (files[i].fd < 0 || !(files[i].events & POLLIN)) continue;
    const struct file* file = zvm_file(files[i].fd);
    if (file == NULL || file->channel < 0) continue;
    handles[asked] = file->channel;
    place[asked++] = i;
  }
  for (unsigned long i = 0; i < count; ++i) {
    /* Something else is ready already. */
    if (files[i].revents & ~POLLIN) wait = false;
    if (files[i].revents & POLLIN && zvm_file(files[i].fd)->channel < 0) wait = false;
  }
  if (asked == 0 || !ask(asked, handles, wait, available)) return;
  for (uint32_t k = 0; k < asked; ++k) {
    struct pollfd* file = &files[place[k]];
    if (available[k] == 0) file->revents &= ~POLLIN;
    if (available[k] < 0) file->revents |= POLLHUP;
  }
}

/* Files never make a caller wait longer than the call itself: all are ready. So are channels,
 * unless the host tells which are. */
long sys_poll(void* fds, unsigned long count, int64_t nanoseconds) {
  struct pollfd* files = fds;
  long ready = 0;
  for (unsigned long i = 0; i < count; ++i) {
    files[i].revents = 0;
    if (files[i].fd < 0) continue;
    files[i].revents =
        zvm_file(files[i].fd) == NULL ? POLLNVAL : files[i].events & (POLLIN | POLLOUT);
  }
  if (MANIFEST->readiness != 0) poll_channels(files, count, nanoseconds < 0);
  for (unsigned long i = 0; i < count; ++i) ready += files[i].revents != 0;
  if (ready == 0 && nanoseconds > 0) {
    const struct timespec span = {nanoseconds / 1000000000, nanoseconds % 1000000000};
    sys_nanosleep(&span);
  }
  return ready;
}

long sys_select(int count, void* read, void* write, void* except, int64_t nanoseconds) {
  long ready = 0;
  if (count < 0 || count > FD_SETSIZE) return -EINVAL;
  if (except != NULL) FD_ZERO((fd_set*)except);
  for (int fd = 0; fd < count; ++fd) {
    const bool in = read != NULL && FD_ISSET(fd, (fd_set*)read);
    const bool out = write != NULL && FD_ISSET(fd, (fd_set*)write);
    if ((in || out) && zvm_file(fd) == NULL) return -EBADF;
    ready += in + out;
  }
  if (MANIFEST->readiness != 0 && read != NULL) {
    struct pollfd files[FD_SETSIZE];
    bool wait = nanoseconds < 0;
    for (int fd = 0; fd < count; ++fd) {
      const bool in = FD_ISSET(fd, (fd_set*)read);
      files[fd] = (struct pollfd){in ? fd : -1, POLLIN, in ? POLLIN : 0};
      if (write != NULL && FD_ISSET(fd, (fd_set*)write)) wait = false;
    }
    poll_channels(files, (unsigned long)count, wait);
    for (int fd = 0; fd < count; ++fd) {
      if (!FD_ISSET(fd, (fd_set*)read) || files[fd].revents != 0) continue;
      FD_CLR(fd, (fd_set*)read);
      --ready;
    }
  }
  if (ready == 0 && nanoseconds > 0) {
    const struct timespec span = {nanoseconds / 1000000000, nanoseconds % 1000000000};
    sys_nanosleep(&span);
  }
  return ready;
}

void sys_exit(int code) { zvm_exit(zvm_images_save(code)); }
