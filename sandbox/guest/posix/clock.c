/* Time passes only when the guest looks at it or sleeps, so that a run with the same inputs sees
 * the same times. Random bytes are as reproducible. */
#include <errno.h>
#include <string.h>
#include <sys/time.h>

#include "posix.h"

#define NANOSECONDS 1000000000
#define STEP 1000 /* each look takes a microsecond */

static int64_t start_seconds;
static int64_t passed; /* nanoseconds since the start */
static uint64_t random_state;

void zvm_clock_start(int64_t seconds) { start_seconds = seconds; }

static struct timespec look(int64_t base_seconds) {
  passed += STEP;
  return (struct timespec){.tv_sec = base_seconds + passed / NANOSECONDS,
                           .tv_nsec = passed % NANOSECONDS};
}

struct timespec zvm_now(void) { return look(start_seconds); }

static bool is_wall_clock(int clock) {
  return clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE || clock == CLOCK_TAI;
}

long sys_clock_gettime(int clock, struct timespec* out) {
  if (clock > CLOCK_TAI) return -EINVAL;
  *out = look(is_wall_clock(clock) ? start_seconds : 0);
  return 0;
}

long sys_clock_getres(int clock, struct timespec* out) {
  if (clock < 0 || clock > CLOCK_TAI) return -EINVAL;
  if (out != NULL) *out = (struct timespec){.tv_nsec = STEP};
  return 0;
}

static long sleep_for(int64_t seconds, int64_t nanoseconds) {
  if (seconds < 0 || nanoseconds < 0 || nanoseconds >= NANOSECONDS) return -EINVAL;
  if (seconds > INT64_MAX / NANOSECONDS / 4) seconds = INT64_MAX / NANOSECONDS / 4;
  const int64_t span = seconds * NANOSECONDS + nanoseconds;
  passed += span > STEP ? span : STEP;
  return 0;
}

/* Never interrupted, so what is left is not told: programs pass the same variable for both. */
long sys_nanosleep(const struct timespec* wanted) {
  return sleep_for(wanted->tv_sec, wanted->tv_nsec);
}

long sys_clock_nanosleep(int clock, int flags, const struct timespec* wanted) {
  if (flags == 0) return sleep_for(wanted->tv_sec, wanted->tv_nsec);
  const struct timespec now = look(is_wall_clock(clock) ? start_seconds : 0);
  const int64_t span =
      (wanted->tv_sec - now.tv_sec) * NANOSECONDS + (wanted->tv_nsec - now.tv_nsec);
  return span <= 0 ? 0 : sleep_for(span / NANOSECONDS, span % NANOSECONDS);
}

long sys_gettimeofday(void* out) {
  const struct timespec now = zvm_now();
  if (out != NULL) {
    *(struct timeval*)out = (struct timeval){.tv_sec = now.tv_sec, .tv_usec = now.tv_nsec / 1000};
  }
  return 0;
}

long sys_time(int64_t* out) {
  const int64_t seconds = zvm_now().tv_sec;
  if (out != NULL) *out = seconds;
  return seconds;
}

long sys_times(void* out) {
  const struct timespec now = look(0);
  const long ticks = now.tv_sec * 100 + now.tv_nsec / 10000000;
  if (out != NULL) memcpy(out, (long[4]){ticks, 0, 0, 0}, sizeof(long[4]));
  return ticks;
}

void zvm_random_start(uint64_t seed) { random_state = seed; }

/* SplitMix64 (Steele, Lea and Flood, 2014): any seed is a good one. */
static uint64_t next_random(void) {
  uint64_t z = random_state += UINT64_C(0x9e3779b97f4a7c15);
  z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
  z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
  return z ^ (z >> 31);
}

void zvm_random(void* buffer, size_t size) {
  char* out = buffer;
  while (size > 0) {
    const uint64_t word = next_random();
    const size_t n = size < sizeof word ? size : sizeof word;
    memcpy(out, &word, n);
    out += n;
    size -= n;
  }
}
