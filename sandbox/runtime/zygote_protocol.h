// What the host and the zygote say to each other, over a SOCK_SEQPACKET pair whose one end is the
// zygote's descriptor 0. Freestanding.
//
// The zygote first sends a ZygoteHello. Then, as often as the host likes: the host sends a
// StartRequest with the first kDescriptorBatch descriptors, and the remaining ones in further
// messages of one byte; the zygote answers with a StartReply. Descriptors are those of the
// channels, then the image, then the session block. They come to lie at kFirstChannelDescriptor and
// after, because nothing above 1 is open in a zygote: 1 is the pipe whose end tells the first
// process of the process id namespace that the zygote is gone.
//
// The two trust each other: a session has closed both descriptors before its guest runs.
#pragma once

#include <stdint.h>

namespace zerocloud::runtime {

inline constexpr int kControlDescriptor = 0;
inline constexpr int kLifelineDescriptor = 1;

// The kernel passes at most 253 at once (SCM_MAX_FD).
inline constexpr uint32_t kDescriptorBatch = 250;

// The launcher's argv[0] in either mode: as long as each other, since a session overwrites it.
inline constexpr char kSessionName[] = "zvm-session";
inline constexpr char kZygoteName[] = "zvm-starter";
static_assert(sizeof kSessionName == sizeof kZygoteName);

// A zygote's argv[1]: whether its sessions share its namespaces or each makes its own. It must be
// decided before: a process that has set aside a process id namespace for its children cannot make
// another.
inline constexpr char kSharedNamespaces[] = "shared";
inline constexpr char kOwnNamespaces[] = "own";

struct ZygoteHello {
  uint32_t version;  // kSessionBlockVersion
  uint32_t layers;   // policy::Layer bits that its sessions inherit
};

struct StartRequest {
  uint32_t descriptor_count;
  uint32_t reserved;
  uint64_t block_size;
};

struct StartReply {
  int32_t pid;  // in the zygote's process id namespace, which is the host's; or a negative errno
};

}  // namespace zerocloud::runtime
