#include "sandbox/runtime/address_space.h"

#include <cstring>
#include <utility>

#include "sandbox/include/zvm.h"

namespace zerocloud::runtime {
namespace {

constexpr std::uint64_t kHeapUnit = 64 << 10;
constexpr std::uint64_t kStackGuard = 1 << 20;
constexpr std::uint64_t kManifestRoom = ZVM_IMAGE_ADDRESS - ZVM_MANIFEST_ADDRESS;

constexpr std::uint64_t RoundUp(std::uint64_t value, std::uint64_t unit) {
  return (value + unit - 1) / unit * unit;
}

// A guest pointer as a value of the structures in zvm.h, which the host only writes.
template <typename T>
T* GuestPointer(std::uint64_t address) {
  return reinterpret_cast<T*>(address);  // NOLINT(performance-no-int-to-ptr)
}

std::vector<unsigned char> UserManifestBytes(std::uint64_t heap_address, std::uint64_t heap_size,
                                             std::uint64_t memory_size,
                                             std::span<const ChannelFacts> all_channels,
                                             std::span<const std::uint64_t> map_addresses) {
  const bool has_readiness = !all_channels.empty() && all_channels.back().is_readiness;
  const auto channels = all_channels.first(all_channels.size() - (has_readiness ? 1 : 0));
  const std::uint64_t records_at = sizeof(UserManifest);
  const std::uint64_t names_at = records_at + channels.size() * sizeof(ZVMChannel);
  std::uint64_t size = names_at;
  for (const ChannelFacts& channel : channels) size += channel.alias.size() + 1;

  std::vector<unsigned char> bytes(size);
  UserManifest head{};
  head.abi_version = ZVM_ABI_VERSION;
  head.channel_size = sizeof(ZVMChannel);
  head.heap_ptr = GuestPointer<void>(heap_address);
  head.heap_size = heap_size;
  head.stack_size = ZVM_STACK_SIZE;
  head.channels_count = static_cast<std::int32_t>(channels.size());
  head.channels = GuestPointer<const ZVMChannel>(ZVM_MANIFEST_ADDRESS + records_at);
  head.memory_size = memory_size;
  head.readiness = has_readiness ? head.channels_count : 0;
  std::memcpy(bytes.data(), &head, sizeof head);

  std::uint64_t name_at = names_at;
  for (std::size_t i = 0; i < channels.size(); ++i) {
    const ChannelFacts& channel = channels[i];
    ZVMChannel record{};
    record.limits[GetsLimit] = channel.state.limits.gets;
    record.limits[GetSizeLimit] = channel.state.limits.get_size;
    record.limits[PutsLimit] = channel.state.limits.puts;
    record.limits[PutSizeLimit] = channel.state.limits.put_size;
    record.size = channels::VisibleSize(channel.state);
    record.type = static_cast<std::uint32_t>(channel.state.type);
    record.name = GuestPointer<const char>(ZVM_MANIFEST_ADDRESS + name_at);
    record.map = GuestPointer<const void>(map_addresses[i]);
    record.map_size = channel.map_size;
    std::memcpy(bytes.data() + records_at + i * sizeof record, &record, sizeof record);
    std::memcpy(bytes.data() + name_at, channel.alias.c_str(), channel.alias.size() + 1);
    name_at += channel.alias.size() + 1;
  }
  return bytes;
}

// Where each channel is mapped (0: it is not), from the stack downwards. Returns where the lowest
// begins, the stack if there is none; 0 if they leave no room above `heap_address`.
std::uint64_t PlaceMaps(std::uint64_t heap_address, std::span<const ChannelFacts> channels,
                        std::vector<std::uint64_t>& addresses) {
  std::uint64_t lowest = ZVM_STACK_ADDRESS;
  for (const ChannelFacts& channel : channels) {
    addresses.push_back(0);
    if (channel.map_size == 0) continue;
    if (channel.map_size > kGuestEnd) return 0;
    const std::uint64_t room = RoundUp(channel.map_size, kHeapUnit) + kStackGuard;
    if (lowest < heap_address + kStackGuard + room) return 0;
    lowest -= room;
    addresses.back() = lowest;
  }
  return lowest;
}

}  // namespace

Result<AddressSpace> LayOut(std::span<const Region> image_regions, std::uint64_t memory_size,
                            std::span<const ChannelFacts> channels) {
  if (memory_size == 0 || memory_size > kGuestEnd) {
    return Fail(ErrorCode::kInvalid, "memory size " + std::to_string(memory_size) +
                                         " is not within 1 and " + std::to_string(kGuestEnd));
  }
  const std::uint64_t image_end = image_regions.empty()
                                      ? ZVM_IMAGE_ADDRESS
                                      : image_regions.back().address + image_regions.back().size;
  AddressSpace space;
  space.heap_address = RoundUp(image_end, kHeapUnit);
  const std::uint64_t taken = ZVM_STACK_SIZE + (space.heap_address - ZVM_IMAGE_ADDRESS);
  std::vector<std::uint64_t> map_addresses;
  const std::uint64_t lowest_map = PlaceMaps(space.heap_address, channels, map_addresses);
  if (lowest_map == 0) {
    return Fail(ErrorCode::kInvalid, "the mapped channels do not fit the guest's address space");
  }
  const std::uint64_t heap_limit = lowest_map - kStackGuard;
  const std::uint64_t most = heap_limit > space.heap_address ? heap_limit - space.heap_address : 0;
  const std::uint64_t left = memory_size > taken ? memory_size - taken : 0;
  space.heap_size = (left < most ? left : most) / kHeapUnit * kHeapUnit;
  if (space.heap_size == 0) {
    return Fail(ErrorCode::kInvalid, "memory size " + std::to_string(memory_size) +
                                         " leaves no heap: the stack takes " +
                                         std::to_string(ZVM_STACK_SIZE) + " and the program " +
                                         std::to_string(taken - ZVM_STACK_SIZE) +
                                         "; grant at least " + std::to_string(taken + kHeapUnit));
  }
  space.manifest =
      UserManifestBytes(space.heap_address, space.heap_size, memory_size, channels, map_addresses);
  if (space.manifest.size() > kManifestRoom) {
    return Fail(ErrorCode::kInvalid, "the names and records of " + std::to_string(channels.size()) +
                                         " channels need " + std::to_string(space.manifest.size()) +
                                         " bytes; a guest has room for " +
                                         std::to_string(kManifestRoom));
  }

  space.regions.push_back({ZVM_GATE_ADDRESS, kPageSize, 0, kRead | kExecute, RegionSource::kGate});
  space.regions.push_back({ZVM_MANIFEST_ADDRESS, RoundUp(space.manifest.size(), kPageSize), 0,
                           kRead, RegionSource::kManifest});
  space.regions.insert(space.regions.end(), image_regions.begin(), image_regions.end());
  space.regions.push_back(
      {space.heap_address, space.heap_size, 0, kRead | kWrite, RegionSource::kZero});
  // The first one is the highest.
  for (std::size_t i = channels.size(); i-- > 0;) {
    if (map_addresses[i] == 0) continue;
    space.regions.push_back({map_addresses[i], RoundUp(channels[i].map_size, kPageSize), i, kRead,
                             RegionSource::kChannel});
  }
  space.regions.push_back(
      {ZVM_STACK_ADDRESS, ZVM_STACK_SIZE, 0, kRead | kWrite, RegionSource::kZero});
  return space;
}

std::vector<Region> ImageRegions(const loader::ImageLayout& layout) {
  std::vector<Region> regions;
  for (const loader::Segment& segment : layout.segments) {
    std::uint32_t access = kRead;
    if (segment.protection == loader::Protection::kReadExecute) access |= kExecute;
    if (segment.protection == loader::Protection::kReadWrite) access |= kWrite;
    if (segment.backed_size > 0) {
      regions.push_back({segment.address, segment.backed_size, segment.memory_offset, access,
                         RegionSource::kImage});
    }
    if (segment.size > segment.backed_size) {
      regions.push_back({segment.address + segment.backed_size, segment.size - segment.backed_size,
                         0, access, RegionSource::kZero});
    }
  }
  return regions;
}

void CutOutJailed(AddressSpace& space, std::span<const Region> jailed) {
  std::vector<Region> regions;
  auto next = jailed.begin();
  std::uint64_t done = 0;  // a piece may reach into the next region
  for (Region region : space.regions) {
    const std::uint64_t end = region.address + region.size;
    if (end <= done) continue;
    if (region.address < done) region.address = done;
    for (; next != jailed.end() && next->address < end; ++next) {
      if (next->address > region.address) {
        regions.push_back(region);
        regions.back().size = next->address - region.address;
      }
      regions.push_back({next->address, next->size, 0, kRead | kExecute, RegionSource::kJailed});
      done = region.address = next->address + next->size;
    }
    if (region.address >= end) continue;
    region.size = end - region.address;
    regions.push_back(region);
  }
  space.regions = std::move(regions);
}

}  // namespace zerocloud::runtime
