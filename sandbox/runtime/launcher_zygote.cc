// The launcher as a zygote: gives up rights once, then clones itself for every session. The clone
// is a child of the host, not of the zygote, so that the host waits for it and learns its resource
// usage as for any other child. See zygote_protocol.h.

#include <asm/errno.h>
#include <linux/prctl.h>
#include <linux/sched.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "sandbox/runtime/launcher.h"
#include "sandbox/runtime/zygote_protocol.h"

namespace zerocloud::runtime {
namespace {

constexpr uint64_t kNobody = 65534;
// All but the network's, which takes the kernel longer than the other six together; sessions stay
// in that of the zygote, which is empty, and in which nobody may have a socket.
constexpr uint64_t kNamespaceFlags =
    CLONE_NEWUSER | CLONE_NEWPID | CLONE_NEWIPC | CLONE_NEWUTS | CLONE_NEWNS | CLONE_NEWCGROUP;
constexpr uint32_t kNamespaceLayers = policy::kUserNamespace | policy::kPidNamespace |
                                      policy::kIpcNamespace | policy::kUtsNamespace |
                                      policy::kMountNamespace | policy::kCgroupNamespace;

struct Zygote {
  uint32_t layers;
  int64_t first_process;  // of the process id namespace; 0 if there is none
  char* name;
  bool sessions_make_namespaces;
};

// Lets the first process end and waits for it, so that nobody inherits it.
[[noreturn]] void End(const Zygote& zygote) {
  Sys(SYS_close_range, kControlDescriptor, ~0U, 0);
  if (zygote.first_process != 0) {
    const auto pid = static_cast<uint64_t>(zygote.first_process);
    while (Sys(SYS_wait4, pid) == -EINTR) {
    }
  }
  Exit(0);
}

// One message into `bytes`, and its descriptors to the lowest free numbers. Ends the process when
// the host has closed the socket. Returns false if descriptors were lost for want of room.
bool Receive(const Zygote& zygote, void* bytes, size_t size) {
  alignas(cmsghdr) unsigned char control[CMSG_SPACE(kDescriptorBatch * sizeof(int))];
  iovec part = {bytes, size};
  msghdr message = {};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  message.msg_control = control;
  message.msg_controllen = sizeof control;
  const int64_t received = Sys(SYS_recvmsg, kControlDescriptor, Address(&message), 0);
  if (received == -EINTR) return Receive(zygote, bytes, size);
  if (received <= 0) End(zygote);
  return (message.msg_flags & MSG_CTRUNC) == 0;
}

void Send(const Zygote& zygote, const void* bytes, size_t size) {
  iovec part = {const_cast<void*>(bytes), size};
  msghdr message = {};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  if (IsError(Sys(SYS_sendmsg, kControlDescriptor, Address(&message), MSG_NOSIGNAL))) End(zygote);
}

// The first process of a process id namespace takes all others with it when it ends. It does
// nothing but wait for the zygote's end: then nobody else holds the other end of its pipe.
[[noreturn]] void BeFirstProcess(uint64_t pipe_end) {
  uint32_t layers = 0;
  SessionBlock no_block = {};
  Sys(SYS_close_range, 0, pipe_end - 1, 0);
  Sys(SYS_close_range, pipe_end + 1, ~0U, 0);
  InstallRunningFilter(&no_block, layers);
  unsigned char byte;
  int64_t got;
  do {
    got = Sys(SYS_read, pipe_end, Address(&byte), 1);
  } while (got > 0 || got == -EINTR);
  Exit(0);
}

// Leaves the pipe to it at kLifelineDescriptor.
int64_t StartFirstProcess(uint32_t layers) {
  int ends[2];
  Check(nullptr, SetupStep::kStart, Sys(SYS_pipe2, Address(ends), 0));
  int64_t pid = 0;
  if ((layers & policy::Layer::kPidNamespace) != 0) {
    pid = Sys(SYS_clone, SIGCHLD);
    if (pid == 0) BeFirstProcess(static_cast<uint64_t>(ends[0]));
    Check(nullptr, SetupStep::kStart, pid);
  }
  const auto end = static_cast<uint64_t>(ends[1]);
  if (end != kLifelineDescriptor) {
    Check(nullptr, SetupStep::kStart, Sys(SYS_dup2, end, kLifelineDescriptor));
  }
  Sys(SYS_close_range, kLifelineDescriptor + 1, ~0U, 0);
  return pid;
}

// In the clone. A canary that the zygote and other sessions do not know, and the session's name.
[[noreturn]] void BeSession(const Zygote& zygote, const StartRequest& request) {
  const uint32_t image = kFirstChannelDescriptor + request.descriptor_count - 2;
  SessionBlock* const block = MapBlock(static_cast<int>(image + 1), request.block_size);
  if (block == nullptr) FailSetup(nullptr, SetupStep::kBlock, 0);
  uint32_t layers = zygote.layers;
  if (zygote.sessions_make_namespaces) {
    DropPrivileges(block, layers);  // a new user namespace comes with every capability in it
    layers |= kNamespaceLayers | policy::Layer::kOwnNamespaces;
  }
  for (size_t i = 0; i < sizeof kSessionName; ++i) zygote.name[i] = kSessionName[i];
  RunSession(block, static_cast<int>(image), true, layers);
}

int32_t Start(const Zygote& zygote, const StartRequest& request) {
  // CLONE_PARENT: our parent, the host, is the session's.
  const uint64_t flags =
      CLONE_PARENT | SIGCHLD | (zygote.sessions_make_namespaces ? kNamespaceFlags : 0);
  const int64_t pid = Sys(SYS_clone, flags);
  if (pid == 0) BeSession(zygote, request);
  // Without its first process the namespace takes no more, and the host needs another zygote. Its
  // end of the pipe is closed by then; to be waited for it may take until the host has reaped all.
  const unsigned char byte = 0;
  if (IsError(pid) && zygote.first_process != 0 &&
      Sys(SYS_write, kLifelineDescriptor, Address(&byte), 1) == -EPIPE) {
    Exit(1);
  }
  return static_cast<int32_t>(pid);
}

// The session's descriptors pass through ours: as many as the host has.
void RaiseDescriptorLimit() {
  struct {
    uint64_t soft, hard;
  } limit;
  if (IsError(Sys(SYS_prlimit64, 0, RLIMIT_NOFILE, 0, Address(&limit)))) return;
  limit.soft = limit.hard;
  Sys(SYS_prlimit64, 0, RLIMIT_NOFILE, Address(&limit), 0);
}

}  // namespace

bool IsHostGone() {
  unsigned char byte;
  iovec part = {&byte, sizeof byte};
  msghdr message = {};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  return Sys(SYS_recvmsg, kControlDescriptor, Address(&message), MSG_PEEK | MSG_DONTWAIT) == 0;
}

[[noreturn]] void ServeAsZygote(const uint64_t* kernel_block, char* name,
                                bool sessions_make_namespaces) {
  Zygote zygote = {};
  zygote.name = name;
  zygote.sessions_make_namespaces = sessions_make_namespaces;
  Sys(SYS_close_range, kControlDescriptor + 1, ~0U, 0);
  // What is typed at the host's terminal is for the host: it decides what becomes of its sessions.
  Sys(SYS_setsid);
  LeaveRoot(nullptr, kNobody, zygote.layers);
  EnterNamespaces(!sessions_make_namespaces, zygote.layers);
  DropPrivileges(nullptr, zygote.layers);
  DenyWithLandlock(zygote.layers);
  // After every change of credentials, since that clears it.
  Check(nullptr, SetupStep::kParent, Sys(SYS_prctl, PR_SET_PDEATHSIG, SIGKILL));
  SetCommonLimits(nullptr);
  RaiseDescriptorLimit();
  PrepareProcess(nullptr, kernel_block);
  zygote.first_process = StartFirstProcess(zygote.layers);
  InstallZygoteFilter(zygote.layers);
  const ZygoteHello hello = {kSessionBlockVersion, zygote.layers};
  Send(zygote, &hello, sizeof hello);

  for (;;) {
    StartRequest request;
    bool has_all = Receive(zygote, &request, sizeof request);
    for (uint32_t count = kDescriptorBatch; count < request.descriptor_count;
         count += kDescriptorBatch) {
      unsigned char byte;
      has_all = Receive(zygote, &byte, sizeof byte) && has_all;
    }
    const StartReply reply = {has_all ? Start(zygote, request) : -EMFILE};
    Send(zygote, &reply, sizeof reply);
    Sys(SYS_close_range, kFirstChannelDescriptor, ~0U, 0);
  }
}

}  // namespace zerocloud::runtime
