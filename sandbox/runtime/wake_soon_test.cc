#include "sandbox/runtime/wake_soon.h"

#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/utsname.h>

#include <cstdio>
#include <thread>

namespace zerocloud::runtime {
namespace {

struct Attributes {  // sched_getattr(2)
  std::uint32_t size, policy;
  std::uint64_t flags;
  std::int32_t nice;
  std::uint32_t priority;
  std::uint64_t runtime, deadline, period;
};

Attributes OfThisThread() {
  Attributes attributes{};
  EXPECT_EQ(syscall(SYS_sched_getattr, 0, &attributes, sizeof attributes, 0), 0);
  return attributes;
}

bool HasSlices() {
  utsname system{};
  unsigned major = 0;
  unsigned minor = 0;
  EXPECT_EQ(uname(&system), 0);
  EXPECT_EQ(std::sscanf(system.release, "%u.%u", &major, &minor), 2);  // NOLINT(cert-err34-c)
  return major > 6 || (major == 6 && minor >= 12);
}

TEST(WakeSoon, ShortensTheSliceOfOneThreadAndNothingElse) {
  std::thread([] {
    const int nice = getpriority(PRIO_PROCESS, 0) + 1;
    ASSERT_EQ(setpriority(PRIO_PROCESS, 0, nice), 0);  // of this thread only
    const Attributes before = OfThisThread();
    WakeSoon();
    const Attributes after = OfThisThread();
    EXPECT_EQ(after.policy, before.policy);
    EXPECT_EQ(after.nice, nice);
    if (!HasSlices()) GTEST_SKIP() << "slices of threads came with Linux 6.12";
    EXPECT_LT(after.runtime, before.runtime);
    std::thread([&before] { EXPECT_EQ(OfThisThread().runtime, before.runtime); }).join();
  }).join();
}

}  // namespace
}  // namespace zerocloud::runtime
