#include "sandbox/policy/seccomp_filter.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstring>
#include <initializer_list>
#include <memory>
#include <set>
#include <span>
#include <string_view>

namespace zerocloud::policy {
namespace {

// Runs the classic BPF instructions that Filter uses, as the kernel does.
std::uint32_t Evaluate(std::span<const sock_filter> program, std::uint32_t arch,
                       std::uint32_t number, const std::array<std::uint64_t, 3>& arguments = {}) {
  seccomp_data data{};
  data.arch = arch;
  data.nr = static_cast<int>(number);
  std::copy(arguments.begin(), arguments.end(), data.args);
  std::uint32_t accumulator = 0;
  for (std::size_t at = 0; at < program.size();) {
    const sock_filter& step = program[at];
    switch (step.code) {
      case BPF_LD | BPF_W | BPF_ABS:
        std::memcpy(&accumulator, reinterpret_cast<const char*>(&data) + step.k, 4);
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

// Every number that the kernel may know, and the x32 ones above.
void ExpectAllowsOnly(std::span<const sock_filter> program,
                      std::initializer_list<std::span<const AllowedCall>> lists) {
  std::set<std::uint32_t> allowed;
  for (const auto list : lists) {
    for (const AllowedCall& call : list) {
      EXPECT_TRUE(allowed.insert(call.number).second) << call.number << " is listed twice";
      EXPECT_FALSE(std::string_view(call.who_needs_it).empty()) << call.number;
    }
  }
  constexpr std::uint32_t kX32 = 0x40000000;
  for (std::uint32_t number = 0; number < 1024; ++number) {
    EXPECT_EQ(Evaluate(program, AUDIT_ARCH_X86_64, number),
              allowed.contains(number) ? SECCOMP_RET_ALLOW : SECCOMP_RET_KILL_PROCESS)
        << "call " << number;
    EXPECT_EQ(Evaluate(program, AUDIT_ARCH_X86_64, kX32 | number), SECCOMP_RET_KILL_PROCESS);
    EXPECT_EQ(Evaluate(program, AUDIT_ARCH_I386, number), SECCOMP_RET_KILL_PROCESS);
  }
}

TEST(SeccompFilter, RunningAllowsItsListAndKillsEveryOtherCall) {
  ExpectAllowsOnly(kRunningFilterProgram.program, {kRunningCalls});
}

TEST(SeccompFilter, ZygoteAllowsItsListsAndKillsEveryOtherCall) {
  ExpectAllowsOnly(kZygoteFilterProgram.program, {kRunningCalls, kSetUpCalls, kZygoteCalls});
}

// The compiler made them from the lists; made while the test runs they are the same.
TEST(SeccompFilter, ProgramsAreThoseOfTheirLists) {
  const auto same = [](const auto& made, const auto& compiled) {
    return std::memcmp(made.program, compiled.program, sizeof made.program) == 0;
  };
  const auto running = std::make_unique<RunningFilter>(kJailRule, kRunningCalls);
  EXPECT_TRUE(same(*running, kRunningFilterProgram));
  const auto zygote =
      std::make_unique<ZygoteFilter>(kNoRule, kRunningCalls, kSetUpCalls, kZygoteCalls);
  EXPECT_TRUE(same(*zygote, kZygoteFilterProgram));
}

TEST(SeccompFilter, NoPhaseMayReachFilesSocketsOrOtherProcesses) {
  for (const int number :
       {SYS_open, SYS_openat, SYS_socket, SYS_connect, SYS_ptrace, SYS_kill, SYS_tgkill, SYS_execve,
        SYS_execveat, SYS_mount, SYS_bpf, SYS_userfaultfd, SYS_io_uring_setup, SYS_perf_event_open,
        SYS_process_vm_writev, SYS_pidfd_getfd, SYS_memfd_create}) {
    EXPECT_EQ(Evaluate(kZygoteFilterProgram.program, AUDIT_ARCH_X86_64,
                       static_cast<std::uint32_t>(number)),
              SECCOMP_RET_KILL_PROCESS)
        << "call " << number;
  }
}

// No protection at all, as the tests above ask for, is not what jail does.
TEST(SeccompFilter, AllowsOnlyTheProtectionsOfJailOnlyInGuestMemory) {
  constexpr std::uint64_t kHigh = std::uint64_t{1} << 32;
  const auto verdict = [](std::uint64_t address, std::uint64_t size, std::uint64_t protection) {
    return Evaluate(kRunningFilterProgram.program, AUDIT_ARCH_X86_64, SYS_mprotect,
                    {address, size, protection});
  };
  for (std::uint64_t protection = 0; protection < 64; ++protection) {
    const bool is_jails = protection == PROT_READ || protection == (PROT_READ | PROT_WRITE) ||
                          protection == (PROT_READ | PROT_EXEC);
    EXPECT_EQ(verdict(0x500000, 4096, protection),
              is_jails ? SECCOMP_RET_ALLOW : SECCOMP_RET_KILL_PROCESS)
        << protection;
    EXPECT_EQ(verdict(0x500000, 4096, protection | kHigh), SECCOMP_RET_KILL_PROCESS);
    EXPECT_EQ(verdict(kHigh, 4096, protection), SECCOMP_RET_KILL_PROCESS);
    EXPECT_EQ(verdict(kHigh * 0x7fff, 4096, protection), SECCOMP_RET_KILL_PROCESS);
    EXPECT_EQ(verdict(0x500000, kHigh, protection), SECCOMP_RET_KILL_PROCESS);
    EXPECT_EQ(verdict(0x500000, ~std::uint64_t{0}, protection), SECCOMP_RET_KILL_PROCESS);
  }
}

}  // namespace
}  // namespace zerocloud::policy
