/* Copies lines of one letter from /dev/a and /dev/b to standard output in the order in which they
 * come, until both have ended; by poll, or by select if standard input has something. */
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <sys/select.h>
#include <unistd.h>
#include <zvm.h>

static int wait_for_one(const int* files, const int* open_files, int by_select) {
  if (by_select) {
    fd_set set;
    FD_ZERO(&set);
    for (int i = 0; i < 2; ++i)
      if (open_files[i]) FD_SET(files[i], &set);
    if (select(files[1] + 1, &set, NULL, NULL, NULL) < 1) return -1;
    return FD_ISSET(files[0], &set) ? 0 : 1;
  }
  struct pollfd polled[2];
  for (int i = 0; i < 2; ++i) polled[i] = (struct pollfd){open_files[i] ? files[i] : -1, POLLIN, 0};
  if (poll(polled, 2, -1) < 1) return -1;
  return polled[0].revents != 0 ? 0 : 1;
}

int main(void) {
  char byte;
  const int by_select = read(0, &byte, 1) == 1;
  const int files[2] = {open("/dev/a", O_RDONLY), open("/dev/b", O_RDONLY)};
  int open_files[2] = {1, 1};
  struct pollfd now[2] = {{files[0], POLLIN, 0}, {files[1], POLLIN, 0}};
  if (poll(now, 2, 0) != 0) return 1; /* nothing has come yet */
  write(1, ".", 1);
  while (open_files[0] || open_files[1]) {
    const int which = wait_for_one(files, open_files, by_select);
    if (which < 0) return 2;
    const long size = read(files[which], &byte, 1);
    if (size < 0) return 3;
    if (size == 0) open_files[which] = 0;
    if (size == 1) write(1, &byte, 1);
  }
  /* A question that makes no sense ends the channel, and nothing else. */
  const struct ZVMReadinessQuery nonsense = {0, 0};
  char answer;
  if (zvm_pwrite(MANIFEST->readiness, &nonsense, sizeof nonsense, 0) != sizeof nonsense) return 4;
  return zvm_pread(MANIFEST->readiness, &answer, 1, 0) == 0 ? 0 : 5;
}
