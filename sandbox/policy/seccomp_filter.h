// The system calls of a session, as data. The filter is installed by the session launcher as the
// last step before the guest runs; from then on the process makes only these, and any other kills
// it. Freestanding.
#pragma once

#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdint.h>
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

inline constexpr size_t kRunningCallCount = sizeof kRunningCalls / sizeof kRunningCalls[0];

// A classic BPF program for kRunningCalls on x86-64. Calls of other architectures (int 0x80) and of
// the x32 numbering are not in the list, so they kill the process too.
struct RunningFilter {
  static constexpr size_t kLength = 4 + 2 * kRunningCallCount + 1;
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
    program[at++] = {BPF_RET | BPF_K, 0, 0, SECCOMP_RET_KILL_PROCESS};
  }
};

}  // namespace zerocloud::policy
