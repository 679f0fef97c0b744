// For threads that wait most of the time and then have something short to do, on machines where
// others compute all the time.
#pragma once

#include <sched.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <unistd.h>

#include <cstdint>

namespace zerocloud::runtime {

// Asks the kernel to run a thread (0: the caller) soon after it wakes. Since its version 6.12 Linux
// lets a thread that wakes wait until the running one has used up its slice, some 3 ms, unless its
// own slice is shorter: sched_setattr(2), sched_runtime. Needs no privilege and takes no time from
// others; older kernels ignore it. What the thread forks does not inherit it.
inline void WakeSoon(pid_t thread = 0) {
  struct {  // of sched_setattr(2), its first version
    std::uint32_t size, policy;
    std::uint64_t flags;
    std::int32_t nice;
    std::uint32_t priority;
    std::uint64_t runtime, deadline, period;
  } attributes = {};
  constexpr std::uint64_t kResetOnFork = 1;
  if (syscall(SYS_sched_getattr, thread, &attributes, sizeof attributes, 0) != 0) return;
  if (attributes.policy != SCHED_OTHER) return;  // somebody has decided otherwise
  attributes.flags |= kResetOnFork;
  attributes.runtime = 100'000;  // nanoseconds: the shortest there is
  syscall(SYS_sched_setattr, thread, &attributes, 0);
}

}  // namespace zerocloud::runtime
