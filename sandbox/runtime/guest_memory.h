// GuestMemory: the session's regions as the six calls see them: which guest addresses may be handed
// to the kernel. Freestanding.
//
// Trusted code never dereferences a guest address: the kernel copies, and answers -EFAULT where a
// page is not what the regions say. The one exception is the memory digest, taken after the guest
// ended.
#pragma once

#include <stdint.h>

#include "sandbox/runtime/session_block.h"

namespace zerocloud::runtime {

class GuestMemory {
 public:
  // `base` is what a guest address is counted from: 0 in a session process, the start of an arena
  // in tests. `regions` are sorted, do not overlap, end below kGuestEnd, and outlive this.
  constexpr GuestMemory(uint64_t base, const Region* regions, uint32_t count)
      : base_(base), regions_(regions), count_(count) {}

  // Whether every byte of [address, address + size) lies in regions with `access`. Any address and
  // size; no sum wraps. An empty range must begin inside such a region.
  [[nodiscard]] bool Contains(uint64_t address, uint64_t size, uint32_t access) const {
    if (address >= kGuestEnd || size > kGuestEnd - address) return false;
    const uint64_t end = address + size;
    for (uint32_t i = 0; i < count_; ++i) {
      const Region& region = regions_[i];
      const uint64_t region_end = region.address + region.size;
      if (address < region.address) return false;
      if (address >= region_end) continue;
      if ((region.access & access) != access) return false;
      if (end <= region_end) return true;
      address = region_end;  // the run may go on in the next region
    }
    return false;
  }

  // Where the host finds a guest address. REQUIRES: Contains() said yes to what is done there.
  [[nodiscard]] uint64_t HostAddress(uint64_t address) const { return base_ + address; }

  [[nodiscard]] const Region* begin() const { return regions_; }
  [[nodiscard]] const Region* end() const { return regions_ + count_; }

 private:
  uint64_t base_;
  const Region* regions_;
  uint32_t count_;
};

}  // namespace zerocloud::runtime
