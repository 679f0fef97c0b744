// The system calls of a session process, as data: one list per phase of its life, each call with
// its reason. From the moment a filter is installed, any other call kills the process.
//
//   zygote   the process that starts sessions: waits for requests, clones
//   set-up   a session that has been cloned and prepares itself; no guest has run yet
//   running  the guest runs
//
// A process inherits the filters of the one that cloned it and can only add to them. So the
// zygote's filter allows all three lists, and the last step before the guest adds one that allows
// the third alone. Freestanding.
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

inline constexpr AllowedCall kZygoteCalls[] = {
    {SYS_recvmsg, "a request and the session's descriptors; in a session: is the host there?"},
    {SYS_sendmsg, "the process id of the session, or an errno"},
    {SYS_clone, "the session; it becomes a child of the host, not of the zygote"},
    {SYS_wait4, "the end of the first process of the process id namespace"},
};

inline constexpr AllowedCall kSetUpCalls[] = {
    {SYS_mmap, "the session block and the guest's memory"},
    {SYS_mprotect, "makes the gate and the manifest page read-only once they are filled"},
    {SYS_close_range, "zygote: the session's descriptors; session: all but its channels"},
    {SYS_prctl, "killed with the host; not dumpable"},
    {SYS_capset, "drops what a user namespace of its own gave it"},
    {SYS_prlimit64, "processes, descriptors, processor time"},
    {SYS_getppid, "has the host died meanwhile?"},
    {SYS_getrandom, "a stack protector canary of its own"},
    {SYS_setitimer, "the limit of processor time"},
    {SYS_seccomp, "the filter of the running session"},
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
inline constexpr size_t kZygotePhaseCallCount = kRunningCallCount +
                                                sizeof kSetUpCalls / sizeof kSetUpCalls[0] +
                                                sizeof kZygoteCalls / sizeof kZygoteCalls[0];

// A classic BPF program for x86-64 that allows the calls of some lists, and what `rule`, which
// stands behind them, allows. Calls of other architectures (int 0x80) kill the process; so do those
// of the x32 numbering, which no list has. For the listed numbers it looks at nothing else, so the
// kernel remembers the answer and does not run it for every call.
template <size_t kCallCount, size_t kRuleLength>
struct Filter {
  // NOLINTNEXTLINE(bugprone-dynamic-static-initializers): it is constexpr
  static constexpr size_t kLength = 4 + kCallCount + 1 + kRuleLength + 1;
  static_assert(kCallCount + kRuleLength < 250, "a jump of classic BPF has eight bits");
  sock_filter program[kLength];

  template <typename Rule, typename... Lists>
  constexpr explicit Filter(const Rule& rule, const Lists&... lists) : program() {
    size_t at = 0;
    program[at++] = {BPF_LD | BPF_W | BPF_ABS, 0, 0, offsetof(seccomp_data, arch)};
    program[at++] = {BPF_JMP | BPF_JEQ | BPF_K, 1, 0, AUDIT_ARCH_X86_64};
    program[at++] = {BPF_RET | BPF_K, 0, 0, SECCOMP_RET_KILL_PROCESS};
    program[at++] = {BPF_LD | BPF_W | BPF_ABS, 0, 0, offsetof(seccomp_data, nr)};
    constexpr size_t kAllow = kLength - 1;
    const auto add = [&](const auto& list) {
      for (const AllowedCall& call : list) {
        const auto distance = static_cast<uint8_t>(kAllow - at - 1);
        program[at++] = {BPF_JMP | BPF_JEQ | BPF_K, distance, 0, call.number};
      }
    };
    (add(lists), ...);
    for (const sock_filter& step : rule) program[at++] = step;
    program[at++] = {BPF_RET | BPF_K, 0, 0, SECCOMP_RET_KILL_PROCESS};
    program[at++] = {BPF_RET | BPF_K, 0, 0, SECCOMP_RET_ALLOW};
  }
};

// mprotect is in the set-up list, for any protection: the zygote's filter needs no rule beside
// that.
inline constexpr sock_filter kNoRule[] = {{BPF_RET | BPF_K, 0, 0, SECCOMP_RET_KILL_PROCESS}};

using RunningFilter = Filter<kRunningCallCount, kJailRuleLength>;
using ZygoteFilter = Filter<kZygotePhaseCallCount, 1>;
inline constexpr RunningFilter kRunningFilterProgram(kJailRule, kRunningCalls);
inline constexpr ZygoteFilter kZygoteFilterProgram(kNoRule, kRunningCalls, kSetUpCalls,
                                                   kZygoteCalls);

}  // namespace zerocloud::policy
