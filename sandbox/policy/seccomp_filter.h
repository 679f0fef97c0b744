// The system calls of a session, as data. The filter is installed by the session launcher as the
// last step before the guest runs; from then on the process makes only these, and any other kills
// it. Freestanding.
#pragma once

#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/syscall.h>

namespace zerocloud::policy {

struct AllowedCall {
  uint32_t number;
  const char* who_needs_it;
};

// Sorted by how often a busy session makes them.
inline constexpr AllowedCall kRunningCalls[] = {
    {SYS_pread64, "pread on a file channel"},
    {SYS_pwrite64, "pwrite on a file channel"},
    {SYS_read, "pread on a pipe, socket or character device"},
    {SYS_write, "pwrite on a pipe, socket or character device"},
    {SYS_exit_group, "exit, and the end after a guest fault"},
};

// mprotect, for jail and unjail: of memory below 4 GiB only, and never both writable and
// executable. Length is below 4 GiB too, so it ends below 8 GiB: trusted code lies far above. The
// rule stands behind the list, with the call's number loaded, and answers for every call that is
// not in it.
inline constexpr sock_filter kJailRule[] = {
    {BPF_JMP | BPF_JEQ | BPF_K, 0, 10, SYS_mprotect},
    {BPF_LD | BPF_W | BPF_ABS, 0, 0, offsetof(seccomp_data, args[0]) + 4},
    {BPF_JMP | BPF_JEQ | BPF_K, 0, 8, 0},
    {BPF_LD | BPF_W | BPF_ABS, 0, 0, offsetof(seccomp_data, args[1]) + 4},
    {BPF_JMP | BPF_JEQ | BPF_K, 0, 6, 0},
    {BPF_LD | BPF_W | BPF_ABS, 0, 0, offsetof(seccomp_data, args[2]) + 4},
    {BPF_JMP | BPF_JEQ | BPF_K, 0, 4, 0},
    {BPF_LD | BPF_W | BPF_ABS, 0, 0, offsetof(seccomp_data, args[2])},
    {BPF_JMP | BPF_JEQ | BPF_K, 3, 0, PROT_READ},
    {BPF_JMP | BPF_JEQ | BPF_K, 2, 0, PROT_READ | PROT_WRITE},
    {BPF_JMP | BPF_JEQ | BPF_K, 1, 0, PROT_READ | PROT_EXEC},
    {BPF_RET | BPF_K, 0, 0, SECCOMP_RET_KILL_PROCESS},
    {BPF_RET | BPF_K, 0, 0, SECCOMP_RET_ALLOW},
};
inline constexpr size_t kJailRuleLength = sizeof kJailRule / sizeof kJailRule[0];

inline constexpr size_t kRunningCallCount = sizeof kRunningCalls / sizeof kRunningCalls[0];

// A classic BPF program for kRunningCalls and kJailRule on x86-64. Calls of other architectures
// (int 0x80) and of the x32 numbering are not in the list, so they kill the process too.
struct RunningFilter {
  static constexpr size_t kLength = 4 + 2 * kRunningCallCount + kJailRuleLength;
  sock_filter program[kLength];

  constexpr RunningFilter() : program() {
    size_t at = 0;
    program[at++] = {BPF_LD | BPF_W | BPF_ABS, 0, 0, offsetof(seccomp_data, arch)};
    program[at++] = {BPF_JMP | BPF_JEQ | BPF_K, 1, 0, AUDIT_ARCH_X86_64};
    program[at++] = {BPF_RET | BPF_K, 0, 0, SECCOMP_RET_KILL_PROCESS};
    program[at++] = {BPF_LD | BPF_W | BPF_ABS, 0, 0, offsetof(seccomp_data, nr)};
    for (const AllowedCall& call : kRunningCalls) {
      program[at++] = {BPF_JMP | BPF_JEQ | BPF_K, 0, 1, call.number};
      program[at++] = {BPF_RET | BPF_K, 0, 0, SECCOMP_RET_ALLOW};
    }
    for (const sock_filter& step : kJailRule) program[at++] = step;
  }
};

}  // namespace zerocloud::policy
