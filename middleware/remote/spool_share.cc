#include "middleware/remote/spool_share.h"

namespace zerocloud::remote {

bool SpoolShare::Reserve(std::uint64_t bytes) {
  const bool has_room = TryReserve(bytes) || (holds_.MakeRoom() && TryReserve(bytes));
  if (has_room) reserved_ += bytes;
  return has_room;
}

bool SpoolShare::TryReserve(std::uint64_t bytes) {
  std::uint64_t all = all_;
  do {
    const std::uint64_t taken = all + spool_.used();
    if (taken > spool_.limit() || bytes > spool_.limit() - taken) return false;
  } while (!all_.compare_exchange_weak(all, all + bytes));
  return true;
}

void SpoolShare::SetWritten(std::uint64_t bytes) {
  all_ += bytes - written_;  // may wrap, and comes out right
  written_ = bytes;
}

bool SpoolShare::IsFull() const {
  const auto is_full = [this] { return all_ + spool_.used() > spool_.limit(); };
  return is_full() && !(holds_.MakeRoom() && !is_full());
}

}  // namespace zerocloud::remote
