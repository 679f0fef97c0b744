// Zygote: the host's side of the process that starts sessions (launcher_zygote.cc). A session that
// is cloned from it needs no exec and inherits namespaces, an empty root and Landlock rules that
// were made once.
//
// Thread-safe. Sessions are children of this process: it waits for them itself. Destroying a
// zygote, or its death, kills its sessions if the host allowed a process id namespace.
#pragma once

#include <sched.h>
#include <sys/types.h>

#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <span>
#include <vector>

#include "channels/base/result.h"
#include "channels/base/unique_fd.h"
#include "sandbox/runtime/processor_place.h"
#include "sandbox/runtime/zygote_protocol.h"

namespace zerocloud::runtime {

// Whether sessions are in the zygote's namespaces, with each other, or make their own.
enum class Namespaces : std::uint8_t { kShared, kOwn };

class Zygote {
 public:
  // The one that sessions of this process share; of those that make namespaces, one for each
  // processor, up to four, and this is that of the caller's. Made when first asked for, and again
  // when it has died; null if this host has none to offer (or under ThreadSanitizer, which cannot
  // run one), and sessions are then started one by one.
  static std::shared_ptr<Zygote> OfThisProcess(Namespaces namespaces = Namespaces::kShared);

  // Starts `launcher` (an O_PATH descriptor) as a zygote. `switches` is for the tests' launcher.
  static Result<std::shared_ptr<Zygote>> Make(int launcher, Namespaces namespaces,
                                              const char* switches = nullptr);

  Zygote() = default;
  Zygote(const Zygote&) = delete;
  Zygote& operator=(const Zygote&) = delete;
  ~Zygote();

  // Starts a session: `descriptors` are the channels', the image's and the session block's.
  // kInternal: the zygote is gone, nothing was started, is_alive() is false. Other errors are the
  // host's refusal to start a process.
  struct Started {
    pid_t pid = -1;
    ProcessorPlace place;  // to be kept as long as the session lives
  };
  Result<Started> Start(std::span<const int> descriptors, std::uint64_t block_size);

  [[nodiscard]] Namespaces namespaces() const { return namespaces_; }
  [[nodiscard]] bool is_alive() const { return is_alive_; }
  [[nodiscard]] pid_t pid() const { return pid_; }
  // policy::Layer bits that its sessions inherit.
  [[nodiscard]] std::uint32_t layers() const { return layers_; }

 private:
  // 0 or an errno.
  int Send(const void* bytes, std::size_t size, std::span<const int> descriptors);
  Result<void> Receive(void* bytes, std::size_t size);
  // Has the zygote run where the caller does. Otherwise the kernel wakes it on an idle processor,
  // and waking one that sleeps takes longer than all that the zygote does.
  void ComeHere();
  // Lets a session go to its place, and then wherever the zygote could at first.
  ProcessorPlace Place(pid_t session);

  std::mutex mutex_;  // one request at a time
  UniqueFd control_;
  Namespaces namespaces_ = Namespaces::kShared;
  pid_t owner_ = -1, pid_ = -1;
  std::uint32_t layers_ = 0;
  bool can_be_moved_ = true;
  int processor_ = -1;               // the one where it has to run, once there is one
  cpu_set_t processors_{};           // where it could run before
  std::vector<int> processor_list_;  // the same
  std::atomic<bool> is_alive_ = false;
};

}  // namespace zerocloud::runtime
