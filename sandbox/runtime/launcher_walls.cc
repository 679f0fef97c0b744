// The second wall, from inside: what the launcher gives up. See launcher.h.

#include <asm/errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/landlock.h>
#include <linux/prctl.h>
#include <linux/sched.h>
#include <linux/seccomp.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/time.h>

#include <initializer_list>

#include "sandbox/policy/seccomp_filter.h"
#include "sandbox/runtime/launcher.h"

namespace zerocloud::runtime {
namespace {

using policy::Layer;

// One after the other, so that a host that refuses one still grants the others. The user namespace
// comes first: in it, anybody may make the rest.
bool Unshare(Layer layer, uint64_t flag, uint32_t& layers) {
  if (!IsWanted(layer) || IsError(Sys(SYS_unshare, flag))) return false;
  layers |= layer;
  return true;
}

bool WriteFile(const char* path, const char* bytes, uint64_t size) {
  const int64_t file = Sys(SYS_open, Address(path), O_WRONLY | O_CLOEXEC);
  if (IsError(file)) return false;
  const int64_t written = Sys(SYS_write, static_cast<uint64_t>(file), Address(bytes), size);
  Sys(SYS_close, static_cast<uint64_t>(file));
  return written == static_cast<int64_t>(size);
}

// "65534 <id> 1": who we are outside is nobody inside. Only who is somebody in a user namespace may
// make another in it, as a session with namespaces of its own does.
void MapId(const char* path, int64_t id) {
  char text[32] = "65534 ";
  uint64_t size = sizeof "65534 " - 1;
  uint64_t scale = 1;
  while (static_cast<uint64_t>(id) / scale >= 10) scale *= 10;
  for (; scale > 0; scale /= 10) {
    text[size++] = static_cast<char>('0' + static_cast<uint64_t>(id) / scale % 10);
  }
  for (const char letter : {' ', '1'}) text[size++] = letter;
  WriteFile(path, text, size);
}

// An empty file system over any directory, and then as the root; the old root goes. The mount
// namespace is ours already.
bool TakeEmptyRoot() {
  constexpr uint64_t kFlags = MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC;
  const char* const at = "/proc";  // there is one everywhere
  return !IsError(Sys(SYS_mount, 0, Address("/"), 0, MS_REC | MS_PRIVATE)) &&
         !IsError(Sys(SYS_mount, Address("empty"), Address(at), Address("tmpfs"), kFlags,
                      Address("size=4k,nr_inodes=1,mode=555"))) &&
         !IsError(Sys(SYS_chdir, Address(at))) &&
         !IsError(Sys(SYS_pivot_root, Address("."), Address("."))) &&
         !IsError(Sys(SYS_umount2, Address("."), MNT_DETACH)) &&
         !IsError(Sys(SYS_chdir, Address("/")));
}

struct Limit {
  uint64_t soft, hard;
};

void PutLimit(SessionBlock* block, int resource, uint64_t value) {
  const Limit limit = {value, value};
  Check(block, SetupStep::kLimits,
        Sys(SYS_prlimit64, 0, static_cast<uint64_t>(resource), Address(&limit), 0));
}

Limit GetLimit(SessionBlock* block, int resource) {
  Limit limit;
  Check(block, SetupStep::kLimits,
        Sys(SYS_prlimit64, 0, static_cast<uint64_t>(resource), 0, Address(&limit)));
  return limit;
}

// Never more than the host can have.
void SetLimit(SessionBlock* block, int resource, uint64_t value) {
  const uint64_t hard = GetLimit(block, resource).hard;
  PutLimit(block, resource, value < hard ? value : hard);
}

// Never more than the host has: its own limit is for sessions, too.
void LowerLimit(SessionBlock* block, int resource, uint64_t value) {
  const uint64_t soft = GetLimit(block, resource).soft;
  PutLimit(block, resource, value < soft ? value : soft);
}

template <typename Filter>
int64_t Install(const Filter& source) {
  auto* filter = const_cast<sock_filter*>(source.program);
  __asm__("" : "+r"(filter));  // or the compiler makes a constant of the address: a relocation
  const sock_fprog program = {Filter::kLength, filter};
  return Sys(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, Address(&program));
}

}  // namespace

void LeaveRoot(SessionBlock* block, uint64_t id, uint32_t& layers) {
  if (!IsWanted(Layer::kUnprivilegedUser)) return;
  if (Sys(SYS_geteuid) == 0 || Sys(SYS_getuid) == 0) {
    Check(block, SetupStep::kIdentity, Sys(SYS_setgroups, 0, 0));
    Check(block, SetupStep::kIdentity, Sys(SYS_setresgid, id, id, id));
    Check(block, SetupStep::kIdentity, Sys(SYS_setresuid, id, id, id));
  }
  layers |= Layer::kUnprivilegedUser;
}

void DropPrivileges(SessionBlock* block, uint32_t& layers) {
  if (IsWanted(Layer::kNoCapabilities)) {
    __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
    __user_cap_data_struct none[_LINUX_CAPABILITY_U32S_3] = {};
    Check(block, SetupStep::kIdentity, Sys(SYS_capset, Address(&header), Address(none)));
    layers |= Layer::kNoCapabilities;
  }
  if (IsWanted(Layer::kNotDumpable)) {
    const bool is_debugged = block != nullptr && block->waits_for_debugger != 0;
    Check(block, SetupStep::kIdentity, Sys(SYS_prctl, PR_SET_DUMPABLE, is_debugged ? 1 : 0));
    if (!is_debugged) layers |= Layer::kNotDumpable;
  }
  if (IsWanted(Layer::kNoNewPrivileges)) {
    Check(block, SetupStep::kIdentity, Sys(SYS_prctl, PR_SET_NO_NEW_PRIVS, 1));
    layers |= Layer::kNoNewPrivileges;
  }
}

void EnterNamespaces(bool wants_pid_namespace, uint32_t& layers) {
  const int64_t user = Sys(SYS_geteuid), group = Sys(SYS_getegid);
  if (Unshare(Layer::kUserNamespace, CLONE_NEWUSER, layers)) {
    // These files belong to root unless we may be inspected; DropPrivileges ends that.
    Sys(SYS_prctl, PR_SET_DUMPABLE, 1);
    WriteFile("/proc/self/setgroups", "deny", sizeof "deny" - 1);
    MapId("/proc/self/uid_map", user);
    MapId("/proc/self/gid_map", group);
  }
  if (wants_pid_namespace) Unshare(Layer::kPidNamespace, CLONE_NEWPID, layers);
  Unshare(Layer::kIpcNamespace, CLONE_NEWIPC, layers);
  Unshare(Layer::kUtsNamespace, CLONE_NEWUTS, layers);
  Unshare(Layer::kNetworkNamespace, CLONE_NEWNET, layers);
  Unshare(Layer::kCgroupNamespace, CLONE_NEWCGROUP, layers);
  if (Unshare(Layer::kMountNamespace, CLONE_NEWNS, layers) && IsWanted(Layer::kEmptyRoot) &&
      TakeEmptyRoot()) {
    layers |= Layer::kEmptyRoot;
  }
}

void DenyWithLandlock(uint32_t& layers) {
  if (!IsWanted(Layer::kLandlock)) return;
  // Longer than the header of the time knows; a kernel of an earlier version takes a shorter one.
  struct {
    uint64_t handled_access_fs, handled_access_net, scoped;
  } rules = {};
  const int64_t version = Sys(SYS_landlock_create_ruleset, 0, 0, LANDLOCK_CREATE_RULESET_VERSION);
  if (version < 1) return;
  uint64_t size = sizeof rules.handled_access_fs;
  uint64_t rights = 13;           // execute .. make_sym
  if (version >= 2) rights = 14;  // refer
  if (version >= 3) rights = 15;  // truncate
  if (version >= 5) rights = 16;  // ioctl_dev
  rules.handled_access_fs = (uint64_t{1} << rights) - 1;
  if (version >= 4) {
    size = offsetof(decltype(rules), scoped);
    rules.handled_access_net = 3;  // bind_tcp, connect_tcp
  }
  if (version >= 6) {
    size = sizeof rules;
    rules.scoped = 3;  // abstract unix sockets, signals
  }
  const int64_t ruleset = Sys(SYS_landlock_create_ruleset, Address(&rules), size, 0);
  if (IsError(ruleset)) return;
  const auto descriptor = static_cast<uint64_t>(ruleset);
  if (!IsError(Sys(SYS_landlock_restrict_self, descriptor, 0))) layers |= Layer::kLandlock;
  Sys(SYS_close, descriptor);
}

// 1, not 0, for core dumps: the kernel then refuses to pipe one to a helper, too.
void SetCommonLimits(SessionBlock* block) {
  if (!IsWanted(Layer::kResourceLimits)) return;
  SetLimit(block, RLIMIT_CORE, 1);
  SetLimit(block, RLIMIT_MEMLOCK, 0);
  SetLimit(block, RLIMIT_MSGQUEUE, 0);
  // Ours; guests have another. It must not grow into memory that nobody granted.
  constexpr uint64_t kStackSize = 256 << 10;
  SetLimit(block, RLIMIT_STACK, kStackSize);
}

void SetSessionLimits(SessionBlock* block, uint64_t descriptor_limit, uint64_t data_limit,
                      uint32_t& layers) {
  if (!IsWanted(Layer::kResourceLimits)) return;
  LowerLimit(block, RLIMIT_CPU, block->cpu_seconds);
  SetLimit(block, RLIMIT_NPROC, 0);
  SetLimit(block, RLIMIT_NOFILE, descriptor_limit);
  // The running filter lets mprotect pass below 4 GiB, the guard's memory included: this keeps it
  // from becoming more to write than the session has.
  SetLimit(block, RLIMIT_DATA, data_limit);
  LowerLimit(block, RLIMIT_FSIZE, block->file_size_limit);
  if (block->cpu_limit_microseconds != 0) {
    constexpr uint64_t kMicro = 1000000;
    const itimerval once = {{0, 0},
                            {static_cast<time_t>(block->cpu_limit_microseconds / kMicro),
                             static_cast<suseconds_t>(block->cpu_limit_microseconds % kMicro)}};
    Check(block, SetupStep::kLimits, Sys(SYS_setitimer, ITIMER_PROF, Address(&once), 0));
  }
  layers |= Layer::kResourceLimits;
}

void InstallZygoteFilter(uint32_t& layers) {
  if (!IsWanted(Layer::kSetUpFilter) || IsError(Install(policy::kZygoteFilterProgram))) return;
  layers |= Layer::kSetUpFilter;
}

void InstallRunningFilter(SessionBlock* block, uint32_t& layers) {
  if (!IsWanted(Layer::kRunningFilter)) return;
  layers |= Layer::kRunningFilter;
  block->layers = layers;
  Check(block, SetupStep::kFilter, Install(policy::kRunningFilterProgram));
}

}  // namespace zerocloud::runtime
