#include "sandbox/policy/seccomp_filter.h"

#include <gtest/gtest.h>

#include <cstdint>
#include <set>

namespace zerocloud::policy {
namespace {

// Runs the classic BPF instructions that RunningFilter uses, as the kernel does.
std::uint32_t Evaluate(std::uint32_t arch, std::uint32_t number) {
  static constexpr RunningFilter kFilter;
  std::uint32_t accumulator = 0;
  for (std::size_t at = 0; at < RunningFilter::kLength;) {
    const sock_filter& step = kFilter.program[at];
    switch (step.code) {
      case BPF_LD | BPF_W | BPF_ABS:
        accumulator = step.k == offsetof(seccomp_data, arch) ? arch : number;
        ++at;
        break;
      case BPF_JMP | BPF_JEQ | BPF_K:
        at += 1U + (accumulator == step.k ? step.jt : step.jf);
        break;
      case BPF_RET | BPF_K:
        return step.k;
      default:
        ADD_FAILURE() << "unexpected instruction at " << at;
        return 0;
    }
  }
  ADD_FAILURE() << "ran off the end";
  return 0;
}

TEST(SeccompFilter, AllowsTheListedCallsAndKillsEveryOther) {
  std::set<std::uint32_t> allowed;
  for (const AllowedCall& call : kRunningCalls) allowed.insert(call.number);
  EXPECT_EQ(allowed.size(), kRunningCallCount) << "a call is listed twice";
  for (std::uint32_t number = 0; number < 1024; ++number) {
    EXPECT_EQ(Evaluate(AUDIT_ARCH_X86_64, number),
              allowed.contains(number) ? SECCOMP_RET_ALLOW : SECCOMP_RET_KILL_PROCESS)
        << "call " << number;
  }
}

TEST(SeccompFilter, KillsCallsOfOtherArchitectures) {
  EXPECT_EQ(Evaluate(AUDIT_ARCH_I386, 3), SECCOMP_RET_KILL_PROCESS);
  EXPECT_EQ(Evaluate(AUDIT_ARCH_X86_64, 0x40000000U | SYS_read), SECCOMP_RET_KILL_PROCESS);
}

}  // namespace
}  // namespace zerocloud::policy
