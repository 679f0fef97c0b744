// HeldBytes: what a session wrote on another machine, which keeps it there for who needs it: the
// next session, or the store. They may be lost with that machine. Whoever asks for them then waits
// until the session has run again elsewhere (and, if need be, those whose bytes it read), or hears
// why it cannot.
//
// Destroyed by the last who needs them, which lets the other machine forget them. Thread-safe.
#pragma once

#include <cstdint>
#include <memory>
#include <mutex>
#include <stop_token>
#include <string>
#include <utility>
#include <vector>

#include "channels/base/result.h"
#include "middleware/store/object_store.h"

namespace zerocloud::node {

class HeldBytes {
 public:
  virtual ~HeldBytes() = default;
  // Has the machine that holds them store them as the object, whole or not at all, as the caller.
  // Blocks. A session that runs again meanwhile is given up when `stop` says so; what is being
  // stored is not.
  virtual Result<store::ObjectInfo> Store(const store::Caller& caller,
                                          const store::NewObject& object, std::stop_token stop) = 0;
  // Writes them to `file`, from offset 0. Blocks.
  virtual Result<void> Fetch(int file, std::stop_token stop) = 0;
  // They are needed only to make others of them again, should those be lost; so they may be
  // forgotten where room is short.
  virtual void Spare() = 0;
};

// What became of a session after its end, for its report. Shared by who runs it again and who tells
// of it. Thread-safe.
class LaterRuns {
 public:
  // "node: what it held was lost: why".
  void Lost(std::string what) {
    const std::lock_guard lock(mutex_);
    lost_.push_back(std::move(what));
  }
  void RanOn(std::string node) {
    const std::lock_guard lock(mutex_);
    node_ = std::move(node);
  }
  [[nodiscard]] std::vector<std::string> lost() const {
    const std::lock_guard lock(mutex_);
    return lost_;
  }
  // Where it ran last; empty: it has not run again.
  [[nodiscard]] std::string node() const {
    const std::lock_guard lock(mutex_);
    return node_;
  }

 private:
  mutable std::mutex mutex_;
  std::vector<std::string> lost_;  // guarded by mutex_
  std::string node_;               // guarded by mutex_
};

}  // namespace zerocloud::node
