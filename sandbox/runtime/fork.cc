#include "sandbox/runtime/fork.h"

#include <asm/errno.h>

#include "sandbox/runtime/sys.h"

namespace zerocloud::runtime {
namespace {

// Trusted code may read guest memory here: every writable region is anonymous memory or a private
// mapping of a sealed file, so no page of it can be missing.
bool IsZeroPage(uint64_t host_address) {
  const auto* words = PointerTo<const uint64_t>(host_address);
  constexpr uint64_t kWords = kPageSize / sizeof(uint64_t);
  for (uint64_t i = 0; i < kWords; i += 8) {
    uint64_t any = 0;
    for (uint64_t k = 0; k < 8; ++k) any |= words[i + k];
    if (any != 0) return false;
  }
  return true;
}

// Returns 0 or a host errno.
int64_t Save(const Calls& calls, uint64_t address, uint64_t end) {
  while (address < end) {
    const int64_t put = Sys(SYS_pwrite64, static_cast<uint64_t>(calls.snapshot_descriptor),
                            calls.memory.HostAddress(address), end - address, address);
    if (put == -EINTR) continue;
    if (IsError(put)) return -put;
    if (put == 0) return EIO;
    address += static_cast<uint64_t>(put);
  }
  return 0;
}

// Writes the runs of pages that are not all zero. Pages of a file are written whatever they hold: a
// hole would bring back what the file has there.
int64_t SaveRegion(const Calls& calls, const Region& region) {
  const uint64_t end = region.address + region.size;
  const bool starts_as_zeros = region.source == RegionSource::kZero;
  uint64_t run = region.address;
  for (uint64_t page = region.address; page < end; page += kPageSize) {
    if (!starts_as_zeros || !IsZeroPage(calls.memory.HostAddress(page))) continue;
    if (const int64_t host_errno = Save(calls, run, page)) return host_errno;
    run = page + kPageSize;
  }
  return Save(calls, run, end);
}

}  // namespace

int64_t Fork(Calls& calls) {
  if (calls.snapshot_descriptor < 0) return 0;
  SessionBlock& block = *calls.block;
  for (const Region& region : calls.memory) {
    if (!IsGuestMade(region)) continue;
    block.host_errno = static_cast<int32_t>(SaveRegion(calls, region));
    if (block.host_errno == 0) continue;
    EndSession(calls, EndCause::kSnapshotIo);
    return -EIO;
  }
  block.registers = *calls.registers;
  EndSession(calls, EndCause::kForked);
  return 0;
}

}  // namespace zerocloud::runtime
