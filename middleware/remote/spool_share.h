// SpoolShare: what one session on a node takes of the node's spool while it lives: room for what it
// reads, and what it has written by now. Used by one thread at a time. Private to this folder.
#pragma once

#include <atomic>
#include <cstdint>

#include "middleware/node/spool.h"
#include "middleware/remote/holds.h"

namespace zerocloud::remote {

class SpoolShare {
 public:
  // `all` is the sum of the shares of all sessions. The references outlive it.
  SpoolShare(const node::Spool& spool, Holds& holds, std::atomic<std::uint64_t>& all)
      : spool_(spool), holds_(holds), all_(all) {}
  SpoolShare(const SpoolShare&) = delete;
  SpoolShare& operator=(const SpoolShare&) = delete;
  ~SpoolShare() { all_ -= reserved_ + written_; }

  // Room for so many bytes more. False: there is none, and nothing is counted; so what a stranger
  // says to be coming takes nothing from those who are here.
  bool Reserve(std::uint64_t bytes);
  // Counts what is there by now, whether or not there is room for it.
  void SetWritten(std::uint64_t bytes);
  // All together take more than there is, although what is kept only as long as there is room was
  // forgotten.
  [[nodiscard]] bool IsFull() const;

 private:
  bool TryReserve(std::uint64_t bytes);

  const node::Spool& spool_;
  Holds& holds_;
  std::atomic<std::uint64_t>& all_;
  std::uint64_t reserved_ = 0;
  std::uint64_t written_ = 0;
};

}  // namespace zerocloud::remote
