/* There is no second thread to cancel. */
#include <errno.h>
#include <pthread.h>

int pthread_cancel(pthread_t thread) {
  (void)thread;
  return ESRCH;
}
