#include "sandbox/runtime/zygote.h"

#include <sched.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <utility>
#include <vector>

#include "sandbox/runtime/keeper.h"
#include "sandbox/runtime/session_block.h"
#include "sandbox/runtime/spawn.h"
#include "sandbox/runtime/wake_soon.h"

namespace zerocloud::runtime {

namespace {

// Making namespaces takes so long that one zygote cannot do it for threads on several processors.
// Those on the same processor share one, and on a large host so do those on several.
constexpr std::size_t kMostWithNamespaces = 4;

// Its place among the zygotes of a process.
[[maybe_unused]] std::size_t PlaceFor(Namespaces namespaces) {
  if (namespaces == Namespaces::kShared) return 0;
  return 1 + static_cast<std::size_t>(std::max(sched_getcpu(), 0)) % kMostWithNamespaces;
}

}  // namespace

std::shared_ptr<Zygote> Zygote::OfThisProcess([[maybe_unused]] Namespaces namespaces) {
#if __has_feature(thread_sanitizer)
  return nullptr;
#else
  // After so many that did not come up, this host has none to offer.
  constexpr int kMostFailures = 3;
  struct Place {
    std::mutex mutex;
    std::shared_ptr<Zygote> zygote;
    int failures = 0;
  };
  // Never destroyed: sessions may outlive every static object. The kernel cleans up after us.
  static auto* const places = new std::array<Place, 1 + kMostWithNamespaces>;
  // But a program that exits lets its zygotes end, and waits for them, if no session is left.
  [[maybe_unused]] static const int registered = std::atexit([] {
    for (Place& place : *places) place.zygote.reset();
  });
  Place& place = (*places)[PlaceFor(namespaces)];
  const std::lock_guard lock(place.mutex);
  std::shared_ptr<Zygote>& current = place.zygote;
  if (current != nullptr && current->is_alive() && current->owner_ == getpid()) return current;
  if (place.failures >= kMostFailures) return nullptr;
  const Result<int> launcher = LauncherFile();
  if (!launcher) return nullptr;
  auto made = Make(*launcher, namespaces);
  place.failures = made ? 0 : place.failures + 1;
  current = made ? std::move(*made) : nullptr;
  return current;
#endif
}

Result<std::shared_ptr<Zygote>> Zygote::Make(int launcher, Namespaces namespaces,
                                             const char* switches) {
  int ends[2];
  if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) != 0) {
    return FailErrno("cannot make a zygote's socket");
  }
  auto zygote = std::make_shared<Zygote>();
  zygote->control_.Reset(ends[0]);
  UniqueFd far_end(ends[1]);
  UniqueFd pidfd;
  Result<pid_t> pid = -1;
  std::vector<const char*> arguments = {
      kZygoteName, namespaces == Namespaces::kOwn ? kOwnNamespaces : kSharedNamespaces};
  if (switches != nullptr) arguments.push_back(switches);
  Keeper::OfThisProcess().Run(
      [&] { pid = SpawnLauncher(launcher, arguments, std::array{far_end.get()}, pidfd); });
  if (!pid) return Fail(pid);
  zygote->pid_ = *pid;
  zygote->owner_ = getpid();
  zygote->namespaces_ = namespaces;
  if (sched_getaffinity(*pid, sizeof zygote->processors_, &zygote->processors_) != 0) {
    zygote->can_be_moved_ = false;
  }
  for (int processor = 0; zygote->can_be_moved_ && processor < CPU_SETSIZE; ++processor) {
    if (CPU_ISSET(processor, &zygote->processors_)) zygote->processor_list_.push_back(processor);
  }
  WakeSoon(*pid);
  far_end.Reset();  // or its end would never show
  ZygoteHello hello{};
  if (const auto received = zygote->Receive(&hello, sizeof hello); !received) {
    return Fail(received);
  }
  if (hello.version != kSessionBlockVersion) {
    return Fail(ErrorCode::kInternal, "the session launcher is of another version");
  }
  zygote->layers_ = hello.layers;
  zygote->is_alive_ = true;
  return zygote;
}

Zygote::~Zygote() {
  if (pid_ < 0 || owner_ != getpid()) return;
  // What it waits for. Closing would not do if a fork of ours has a copy.
  shutdown(control_.get(), SHUT_RDWR);
  while (waitpid(pid_, nullptr, 0) < 0 && errno == EINTR) {
  }
}

int Zygote::Send(const void* bytes, std::size_t size, std::span<const int> descriptors) {
  alignas(cmsghdr) std::array<unsigned char, CMSG_SPACE(kDescriptorBatch * sizeof(int))> control{};
  iovec part = {const_cast<void*>(bytes), size};
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  message.msg_control = control.data();
  message.msg_controllen = CMSG_SPACE(descriptors.size_bytes());
  cmsghdr* const header = CMSG_FIRSTHDR(&message);
  header->cmsg_level = SOL_SOCKET;
  header->cmsg_type = SCM_RIGHTS;
  header->cmsg_len = CMSG_LEN(descriptors.size_bytes());
  std::memcpy(CMSG_DATA(header), descriptors.data(), descriptors.size_bytes());
  // The kernel bounds how many descriptors of a user are under way; the zygote takes them in.
  constexpr int kMostTries = 1000;
  for (int tries = 0;;) {
    const ssize_t sent = sendmsg(control_.get(), &message, MSG_NOSIGNAL);
    if (sent == static_cast<ssize_t>(size)) return 0;
    if (sent >= 0) return EPIPE;
    if (errno == EINTR) continue;
    if (errno != ETOOMANYREFS || ++tries == kMostTries) return errno;
    sched_yield();
  }
}

void Zygote::ComeHere() {
  const int here = sched_getcpu();
  if (!can_be_moved_ || here < 0 || here >= CPU_SETSIZE || here == processor_) return;
  cpu_set_t only;
  CPU_ZERO(&only);
  CPU_SET(here, &only);
  processor_ = here;
  if (sched_setaffinity(pid_, sizeof only, &only) == 0) return;
  // Not where the host may run. Sessions inherit what it has from now on.
  can_be_moved_ = false;
  sched_setaffinity(pid_, sizeof processors_, &processors_);
}

Result<void> Zygote::Receive(void* bytes, std::size_t size) {
  ssize_t received;
  do {
    received = recv(control_.get(), bytes, size, 0);
  } while (received < 0 && errno == EINTR);
  if (received == static_cast<ssize_t>(size)) return {};
  return FailErrno("the zygote has ended", received < 0 ? errno : EPIPE);
}

ProcessorPlace Zygote::Place(pid_t session) {
  if (!can_be_moved_) return {};
  ProcessorPlace place = ProcessorPlace::Take(processor_, processor_list_);
  if (place.processor() != processor_) {
    cpu_set_t only;
    CPU_ZERO(&only);
    CPU_SET(place.processor(), &only);
    sched_setaffinity(session, sizeof only, &only);  // refused: it begins here
  }
  sched_setaffinity(session, sizeof processors_, &processors_);
  return place;
}

Result<Zygote::Started> Zygote::Start(std::span<const int> descriptors, std::uint64_t block_size) {
  const StartRequest request = {static_cast<std::uint32_t>(descriptors.size()), 0, block_size};
  const std::lock_guard lock(mutex_);
  if (!is_alive_) return Fail(ErrorCode::kInternal, "the zygote has ended");
  ComeHere();
  const auto first = std::min<std::size_t>(descriptors.size(), kDescriptorBatch);
  int error = Send(&request, sizeof request, descriptors.first(first));
  if (error != 0 && error != EPIPE && error != ECONNRESET) {
    return FailErrno("cannot ask the zygote for a session", error);  // which knows of nothing
  }
  for (std::size_t at = first; error == 0 && at < descriptors.size(); at += kDescriptorBatch) {
    constexpr unsigned char kMore = 0;
    const std::size_t left = std::min<std::size_t>(descriptors.size() - at, kDescriptorBatch);
    error = Send(&kMore, sizeof kMore, descriptors.subspan(at, left));
  }
  StartReply reply{};
  if (error != 0 || !Receive(&reply, sizeof reply)) {
    // Half a request, or no answer: whatever comes next would be misunderstood. Whatever it may
    // have started dies with it.
    is_alive_ = false;
    kill(pid_, SIGKILL);
    return Fail(ErrorCode::kInternal, "the zygote has ended");
  }
  if (reply.pid < 0) return FailErrno("cannot start a session process", -reply.pid);
  return Started{reply.pid, Place(reply.pid)};
}

}  // namespace zerocloud::runtime
