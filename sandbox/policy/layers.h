// The layers of the second wall: a closed list. Which of them a session has depends on the host, so
// the launcher says which it obtained (SessionBlock::layers) and reports name them. Freestanding.
//
// docs/threat-model.md has the table: what each layer contains and the test that shows it.
#pragma once

#include <stdint.h>

namespace zerocloud::policy {

enum Layer : uint32_t {
  kUnprivilegedUser = 1U << 0,    // neither root nor in any supplementary group
  kNoCapabilities = 1U << 1,      // none effective, permitted or inheritable
  kNoNewPrivileges = 1U << 2,     // and exec cannot give any
  kNotDumpable = 1U << 3,         // no core file, no ptrace by processes of the same user
  kUserNamespace = 1U << 4,       // capabilities, if it ever got any, would be good for nothing
  kPidNamespace = 1U << 5,        // sees and signals no process of the host
  kIpcNamespace = 1U << 6,        // no System V object or message queue of the host
  kUtsNamespace = 1U << 7,        // no name of the host
  kNetworkNamespace = 1U << 8,    // no network device, not even a loopback that is up
  kMountNamespace = 1U << 9,      // mounts are its own
  kCgroupNamespace = 1U << 10,    // no names of the host's control groups
  kEmptyRoot = 1U << 11,          // the root directory is an empty, read-only file system
  kLandlock = 1U << 12,           // denies every path, port, abstract socket and foreign signal
  kResourceLimits = 1U << 13,     // no process, no descriptor more; processor time
  kClosedDescriptors = 1U << 14,  // only the channels are open
  kDiesWithHost = 1U << 15,       // killed when the host dies
  kSetUpFilter = 1U << 16,        // a system call filter while the session is set up, too
  kRunningFilter = 1U << 17,      // the filter of the running session
  kOwnNamespaces = 1U << 18,      // all but the network's are this session's alone
  kControlGroup = 1U << 19,       // in a control group of its own, with limits
};

inline constexpr Layer kAllLayers[] = {
    kUnprivilegedUser, kNoCapabilities, kNoNewPrivileges, kNotDumpable,      kUserNamespace,
    kPidNamespace,     kIpcNamespace,   kUtsNamespace,    kNetworkNamespace, kMountNamespace,
    kCgroupNamespace,  kEmptyRoot,      kLandlock,        kResourceLimits,   kClosedDescriptors,
    kDiesWithHost,     kSetUpFilter,    kRunningFilter,   kOwnNamespaces,    kControlGroup,
};

// As reports spell it.
constexpr const char* LayerName(Layer layer) {
  switch (layer) {
    case kUnprivilegedUser:
      return "unprivileged_user";
    case kNoCapabilities:
      return "no_capabilities";
    case kNoNewPrivileges:
      return "no_new_privileges";
    case kNotDumpable:
      return "not_dumpable";
    case kUserNamespace:
      return "user_namespace";
    case kPidNamespace:
      return "pid_namespace";
    case kIpcNamespace:
      return "ipc_namespace";
    case kUtsNamespace:
      return "uts_namespace";
    case kNetworkNamespace:
      return "network_namespace";
    case kMountNamespace:
      return "mount_namespace";
    case kCgroupNamespace:
      return "cgroup_namespace";
    case kEmptyRoot:
      return "empty_root";
    case kLandlock:
      return "landlock";
    case kResourceLimits:
      return "resource_limits";
    case kClosedDescriptors:
      return "closed_descriptors";
    case kDiesWithHost:
      return "dies_with_host";
    case kSetUpFilter:
      return "set_up_filter";
    case kRunningFilter:
      return "running_filter";
    case kOwnNamespaces:
      return "own_namespaces";
    case kControlGroup:
      return "control_group";
  }
  return "unknown";
}

}  // namespace zerocloud::policy
