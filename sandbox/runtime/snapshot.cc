#include "sandbox/runtime/snapshot.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <iterator>
#include <span>
#include <utility>

#include "sandbox/runtime/guest_memory.h"
#include "sandbox/verifier/verifier.h"

namespace zerocloud::runtime {
namespace {

constexpr int kSizeSeals = F_SEAL_SHRINK | F_SEAL_GROW;
constexpr std::uint64_t kCodeEnd = std::uint64_t{1} << 31;
// MXCSR has 16 bits that can be set; loading any other faults.
constexpr std::uint32_t kMxcsrBits = 0xffff;
// No file is as long, and a position beyond it can be added to.
constexpr std::int64_t kMaxPosition = INT64_MAX / 2;

template <typename... Args>
auto Reject(fmt::format_string<Args...> format, Args&&... args) {
  return Fail(ErrorCode::kRejectedCode,
              "the snapshot is refused: " + fmt::format(format, std::forward<Args>(args)...));
}

std::uint64_t End(const Region& region) { return region.address + region.size; }

Result<void> Seal(int file) {
  struct stat status{};
  if (::fstat(file, &status) != 0) return FailErrno("cannot read a snapshot");
  if (!S_ISREG(status.st_mode) || std::cmp_not_equal(status.st_size, kGuestEnd)) {
    return Reject("its file has {} bytes instead of {}", status.st_size, kGuestEnd);
  }
  if (::fcntl(file, F_ADD_SEALS, kSizeSeals | F_SEAL_WRITE | F_SEAL_SEAL) != 0) {
    return FailErrno("cannot seal a snapshot");
  }
  return {};
}

// Jailed regions as they may be: cut out of plain data below 2 GiB, whole pages, in order.
Result<void> CheckJailed(const std::vector<Region>& jailed, const AddressSpace& space) {
  if (jailed.size() > kMaxJailedRegions) {
    return Reject("{} jailed regions; the limit is {}", jailed.size(), kMaxJailedRegions);
  }
  std::vector<Region> plain;
  std::ranges::copy_if(space.regions, std::back_inserter(plain), IsPlainData);
  const GuestMemory data(0, plain.data(), static_cast<std::uint32_t>(plain.size()));
  std::uint64_t least = 0;
  for (const Region& region : jailed) {
    const bool is_aligned = region.address % kPageSize == 0 && region.size % kPageSize == 0;
    if (!is_aligned || region.size == 0 || region.address < least ||
        !data.Contains(region.address, region.size, kWrite) || End(region) > kCodeEnd) {
      return Reject("jailed code at {:#x}, {:#x} bytes, is not cut out of data below 2 GiB",
                    region.address, region.size);
    }
    least = End(region);
  }
  return {};
}

class MappedRange {
 public:
  MappedRange(int file, const Region& region)
      : size_(region.size),
        memory_(::mmap(nullptr, size_, PROT_READ, MAP_PRIVATE, file,
                       static_cast<off_t>(region.address))) {}
  MappedRange(const MappedRange&) = delete;
  MappedRange& operator=(const MappedRange&) = delete;
  ~MappedRange() {
    if (is_mapped()) ::munmap(memory_, size_);
  }
  [[nodiscard]] bool is_mapped() const { return memory_ != MAP_FAILED; }
  [[nodiscard]] std::span<const std::byte> bytes() const {
    return {static_cast<const std::byte*>(memory_), size_};
  }

 private:
  std::size_t size_;
  void* memory_;
};

// The file is sealed by now: what is verified is what will run.
Result<void> VerifyJailed(int file, const std::vector<Region>& jailed, unsigned isa_level) {
  for (const Region& region : jailed) {
    const MappedRange code(file, region);
    if (!code.is_mapped()) return FailErrno("cannot map jailed code of a snapshot");
    const auto verdict = verifier::Verify(code.bytes(), region.address,
                                          {.isa_level = isa_level, .max_violations = 1});
    if (verdict.is_accepted()) continue;
    const verifier::Violation& first = verdict.violations.front();
    return Reject("jailed code breaks rule {} at {:#x}", verifier::GetRule(first.rule).id,
                  region.address + first.offset);
  }
  return {};
}

Result<void> CheckRegisters(const GuestRegisters& registers, const std::vector<Region>& regions) {
  const GuestMemory memory(0, regions.data(), static_cast<std::uint32_t>(regions.size()));
  if (!memory.Contains(registers.rsp, sizeof(std::uint64_t), kWrite)) {
    return Reject("its stack pointer {:#x} is not in writable memory", registers.rsp);
  }
  if ((registers.mxcsr & ~kMxcsrBits) != 0) {
    return Reject("its MXCSR {:#x} has bits that no processor has", registers.mxcsr);
  }
  return {};
}

// The pages that the file has, by region of guest memory.
Result<std::vector<Region>> FindRuns(int file, const std::vector<Region>& regions) {
  std::vector<Region> runs;
  auto region = regions.begin();
  for (off_t at = 0;;) {
    const off_t start = ::lseek(file, at, SEEK_DATA);
    if (start < 0 && errno == ENXIO) return runs;
    at = start < 0 ? -1 : ::lseek(file, start, SEEK_HOLE);
    if (at < 0) return FailErrno("cannot find the pages of a snapshot");
    auto page = static_cast<std::uint64_t>(start);
    const auto end = static_cast<std::uint64_t>(at);
    if (page % kPageSize != 0 || end % kPageSize != 0) {
      return Reject("it has part of a page at {:#x}", page);
    }
    while (page < end) {
      while (region != regions.end() && End(*region) <= page) ++region;
      if (region == regions.end() || page < region->address || !IsGuestMade(*region)) {
        return Reject("it has a page at {:#x}, where the guest cannot write", page);
      }
      const std::uint64_t stop = std::min(end, End(*region));
      runs.push_back({page, stop - page, page, region->access, RegionSource::kSnapshot});
      page = stop;
    }
  }
}

// Joins runs over gaps of at most `gap` bytes, within one region.
std::vector<Region> Join(const std::vector<Region>& runs, const std::vector<Region>& regions,
                         std::uint64_t gap) {
  std::vector<Region> joined;
  auto region = regions.begin();
  for (const Region& run : runs) {
    while (End(*region) <= run.address) ++region;
    if (!joined.empty() && joined.back().address >= region->address &&
        run.address - End(joined.back()) <= gap) {
      joined.back().size = End(run) - joined.back().address;
    } else {
      joined.push_back(run);
    }
  }
  return joined;
}

}  // namespace

Result<UniqueFd> Snapshot::NewFile() {
  UniqueFd file(::memfd_create("zvm-snapshot", MFD_CLOEXEC | MFD_ALLOW_SEALING));
  if (!file.is_open() || ::ftruncate(file.get(), static_cast<off_t>(kGuestEnd)) != 0 ||
      ::fcntl(file.get(), F_ADD_SEALS, kSizeSeals) != 0) {
    return FailErrno("cannot make the file of a snapshot");
  }
  return file;
}

Result<std::shared_ptr<const Snapshot>> Snapshot::Make(std::shared_ptr<const loader::Image> image,
                                                       std::uint64_t memory_size,
                                                       std::vector<channels::ChannelSpec> channels,
                                                       ForkedState state, UniqueFd file) {
  if (auto sealed = Seal(file.get()); !sealed) return Fail(sealed);
  if (state.positions.size() != channels.size()) {
    return Reject("it has {} channels instead of {}", state.positions.size(), channels.size());
  }
  for (std::size_t i = 0; i < channels.size(); ++i) {
    const ChannelPosition& position = state.positions[i];
    const auto is_possible = [](std::int64_t at) { return 0 <= at && at <= kMaxPosition; };
    if (!is_possible(position.get_position) || !is_possible(position.put_position)) {
      return Reject("{} stands at {} to read and {} to write", channels[i].alias,
                    position.get_position, position.put_position);
    }
  }
  std::vector<ChannelFacts> facts;
  facts.reserve(channels.size());
  for (const channels::ChannelSpec& channel : channels) facts.push_back({channel.alias, {}});
  auto space = LayOut(ImageRegions(image->layout()), memory_size, facts);
  if (!space) return Fail(space);
  if (auto good = CheckJailed(state.jailed, *space); !good) return Fail(good);
  const unsigned isa_level = image->layout().isa_level;
  if (auto good = VerifyJailed(file.get(), state.jailed, isa_level); !good) return Fail(good);
  CutOutJailed(*space, state.jailed);
  if (auto good = CheckRegisters(state.registers, space->regions); !good) return Fail(good);
  auto runs = FindRuns(file.get(), space->regions);
  if (!runs) return Fail(runs);
  for (std::uint64_t gap = kPageSize; runs->size() > kMaxSnapshotRuns && gap < kGuestEnd; gap *= 2)
    *runs = Join(*runs, space->regions, gap);

  std::shared_ptr<Snapshot> snapshot(new Snapshot(
      std::move(image), memory_size, std::move(channels), std::move(state), std::move(file)));
  snapshot->runs_ = std::move(*runs);
  return std::shared_ptr<const Snapshot>(std::move(snapshot));
}

Result<void> Snapshot::CheckChannels(const std::vector<const channels::ChannelSpec*>& specs) const {
  for (std::size_t i = 0; i < channels_.size() && i < specs.size(); ++i) {
    const channels::ChannelSpec& before = channels_[i];
    const channels::ChannelSpec& now = *specs[i];
    if (now.alias != before.alias) {
      return Fail(ErrorCode::kInvalid, fmt::format("channel {} is {}, and was {} at the fork", i,
                                                   now.alias, before.alias));
    }
    if (now.type != before.type || now.limits != before.limits) {
      return Fail(ErrorCode::kInvalid, fmt::format("{} has another {} than at the fork", now.alias,
                                                   now.type != before.type ? "type" : "limit"));
    }
  }
  if (specs.size() == channels_.size()) return {};
  return Fail(ErrorCode::kInvalid,
              fmt::format("{} channels, and {} at the fork", specs.size(), channels_.size()));
}

channels::ChannelState Snapshot::Continue(std::size_t index,
                                          const channels::ChannelState& fresh) const {
  const ChannelPosition& position = state_.positions[index];
  channels::ChannelState state = fresh;
  state.is_at_end = position.is_at_end;
  state.get_position = position.get_position;
  state.put_position = std::max(fresh.put_position, position.put_position);
  // A hole is not counted against put_size.
  const std::int64_t start = std::max(state.size, state.put_position);
  state.max_size =
      state.limits.put_size > INT64_MAX - start ? INT64_MAX : start + state.limits.put_size;
  return state;
}

}  // namespace zerocloud::runtime
