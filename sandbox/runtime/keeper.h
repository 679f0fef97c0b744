// The keeper: one thread of the host that lives as long as the process. It does what must not
// depend on a thread that may end: zygotes are started from it (the kernel kills a child together
// with the thread that started it), and it watches the memory of sessions that have a limit.
//
// A limit of resident memory is enforced by looking: the kernel offers none to processes outside
// control groups. How long the keeper sleeps depends on how much is left of the nearest limit, so
// that a session cannot use much more than its limit before it is seen; docs/threat-model.md has
// the measured excess. What a session used at most is in its resource usage at the end, exactly.
#pragma once

#include <sys/types.h>

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <vector>

#include "channels/base/result.h"
#include "channels/base/unique_fd.h"

namespace zerocloud::runtime {

// One session whose memory is watched. Watching ends when its last owner lets go.
class MemoryWatch {
 public:
  // `pid` must be an unreaped child of this process, `pidfd` refer to it. Of the resident pages of
  // files, `mapped_bytes` are not counted: they are of channels that were given to it mapped.
  static Result<std::shared_ptr<MemoryWatch>> Make(pid_t pid, int pidfd, std::uint64_t limit,
                                                   std::uint64_t mapped_bytes);

  // Looks, and kills the process if it uses more than `limit` bytes. Returns when to look again.
  std::chrono::steady_clock::duration Look();
  [[nodiscard]] bool has_struck() const { return has_struck_; }
  // Bytes, mapped channels among them. At the end the kernel may tell some pages less: what a
  // killed process had on another processor is not always in its account.
  [[nodiscard]] std::uint64_t most_seen() const { return most_seen_; }

 private:
  friend class Keeper;
  UniqueFd statm_, pidfd_;
  std::uint64_t limit_ = 0, mapped_bytes_ = 0;
  std::atomic<bool> has_struck_ = false;
  std::atomic<std::uint64_t> most_seen_ = 0;
  std::chrono::steady_clock::time_point next_;  // the keeper's
};

class Keeper {
 public:
  // This process's, made when first asked for. A forked child gets one of its own.
  static Keeper& OfThisProcess();

  // Runs `task` on the keeper's thread and waits for its end.
  void Run(const std::function<void()>& task);
  void Watch(const std::shared_ptr<MemoryWatch>& watch);

 private:
  Keeper() = default;
  [[noreturn]] void Loop();

  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<const std::function<void()>*> tasks_;
  std::uint64_t tasks_given_ = 0, tasks_done_ = 0;
  std::vector<std::weak_ptr<MemoryWatch>> watches_;
};

}  // namespace zerocloud::runtime
