#include "sandbox/runtime/jail.h"

#include <asm/errno.h>
#include <sys/mman.h>

#include "sandbox/runtime/sys.h"
#include "sandbox/verifier/verify_core.h"

namespace zerocloud::runtime {
namespace {

constexpr unsigned char kTrap = 0xcc;  // int3

uint32_t scratch[verifier::ScratchWords(kMaxJailSize)];

uint64_t RoundUpToPages(uint64_t size) { return (size + kPageSize - 1) & ~(kPageSize - 1); }

bool IsRange(uint64_t address, uint64_t size) {
  return address % kPageSize == 0 && size > 0 && address < verifier::kCodeLimit &&
         size <= verifier::kCodeLimit - address;
}

// The region that a range of whole pages lies in, or `count`.
uint32_t FindRegion(const Calls& calls, uint64_t address, uint64_t size) {
  const Region* const regions = calls.memory.begin();
  const auto count = static_cast<uint32_t>(calls.memory.end() - regions);
  for (uint32_t i = 0; i < count; ++i) {
    const Region& region = regions[i];
    if (region.address <= address && address - region.address < region.size) {
      return size <= region.size - (address - region.address) ? i : count;
    }
  }
  return count;
}

bool Protect(const Calls& calls, uint64_t address, uint64_t size, uint64_t protection) {
  return !IsError(Sys(SYS_mprotect, calls.memory.HostAddress(address), size, protection));
}

// Replaces regions()[first, first + removed) by `added` and tells everybody how many there are now.
void Replace(Calls& calls, uint32_t first, uint32_t removed, const Region* added,
             uint32_t added_count) {
  Region* const regions = calls.regions;
  const auto count = static_cast<uint32_t>(calls.memory.end() - calls.memory.begin());
  const uint32_t new_count = count - removed + added_count;
  if (added_count > removed) {
    for (uint32_t i = count; i-- > first + removed;)
      regions[i + added_count - removed] = regions[i];
  } else {
    for (uint32_t i = first + removed; i < count; ++i) {
      regions[i - (removed - added_count)] = regions[i];
    }
  }
  for (uint32_t i = 0; i < added_count; ++i) regions[first + i] = added[i];
  calls.memory = GuestMemory(calls.memory.HostAddress(0), regions, new_count);
  calls.block->region_count = new_count;
}

uint32_t CountJailed(const Calls& calls) {
  uint32_t count = 0;
  for (const Region& region : calls.memory) count += region.source == RegionSource::kJailed ? 1 : 0;
  return count;
}

}  // namespace

int64_t Jail(Calls& calls, uint64_t address, uint64_t size) {
  if (!IsRange(address, size)) return -EINVAL;
  if (size > kMaxJailSize) return -E2BIG;
  const uint64_t pages = RoundUpToPages(size);
  const uint32_t index = FindRegion(calls, address, pages);
  const Region* const regions = calls.memory.begin();
  if (regions + index == calls.memory.end() || !IsPlainData(regions[index])) return -EINVAL;
  const auto count = static_cast<uint32_t>(calls.memory.end() - regions);
  if (CountJailed(calls) >= kMaxJailedRegions || count + 2 > calls.region_capacity) return -ENOMEM;

  // SAFETY: plain data of the guest, which nothing can make unwritable but this call.
  auto* const bytes = PointerTo<unsigned char>(calls.memory.HostAddress(address));
  for (uint64_t i = size; i < pages; ++i) bytes[i] = kTrap;
  // From here on nobody can write it, the kernel on the guest's behalf included.
  if (!Protect(calls, address, pages, PROT_READ)) {
    Protect(calls, address, pages, PROT_READ | PROT_WRITE);
    return -EACCES;
  }
  verifier::Violation ignored;
  const verifier::Code code = {bytes, pages, address, calls.block->isa_level};
  const bool is_acceptable = verifier::IsAcceptable(code, scratch, ignored);
  if (!is_acceptable || !Protect(calls, address, pages, PROT_READ | PROT_EXEC)) {
    Protect(calls, address, pages, PROT_READ | PROT_WRITE);
    return is_acceptable ? -EACCES : -EPERM;
  }

  const Region whole = regions[index];
  const uint64_t end = whole.address + whole.size;
  Region pieces[3];
  uint32_t piece_count = 0;
  const auto add = [&](uint64_t from, uint64_t to, uint32_t access, RegionSource source) {
    if (from < to) pieces[piece_count++] = {from, to - from, 0, access, source};
  };
  add(whole.address, address, whole.access, whole.source);
  add(address, address + pages, kRead | kExecute, RegionSource::kJailed);
  add(address + pages, end, whole.access, whole.source);
  Replace(calls, index, 1, pieces, piece_count);
  return 0;
}

int64_t Unjail(Calls& calls, uint64_t address, uint64_t size) {
  if (!IsRange(address, size)) return -EINVAL;
  const uint64_t pages = RoundUpToPages(size);
  uint32_t first = FindRegion(calls, address, pages);
  const Region* const regions = calls.memory.begin();
  const auto count = static_cast<uint32_t>(calls.memory.end() - regions);
  if (first == count) return -EINVAL;
  Region data = regions[first];
  if (data.source != RegionSource::kJailed || data.address != address || data.size != pages) {
    return -EINVAL;
  }
  if (!Protect(calls, address, pages, PROT_READ | PROT_WRITE)) return -EACCES;

  data.source = RegionSource::kZero;
  data.access = kRead | kWrite;
  uint32_t removed = 1;
  if (first + 1 < count && IsPlainData(regions[first + 1]) &&
      regions[first + 1].address == data.address + data.size) {
    data.size += regions[first + 1].size;
    ++removed;
  }
  if (first > 0 && IsPlainData(regions[first - 1]) &&
      regions[first - 1].address + regions[first - 1].size == data.address) {
    --first;
    data.address = regions[first].address;
    data.size += regions[first].size;
    ++removed;
  }
  Replace(calls, first, removed, &data, 1);
  return 0;
}

}  // namespace zerocloud::runtime
