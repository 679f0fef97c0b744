#include "sandbox/runtime/address_space.h"

#include <gtest/gtest.h>

#include <cstring>

#include "sandbox/include/zvm.h"

namespace zerocloud::runtime {
namespace {

constexpr std::uint64_t kMiB = 1 << 20;

std::vector<Region> SmallImage() {
  return {{ZVM_IMAGE_ADDRESS, 0x3000, 0, kRead | kExecute, RegionSource::kImage},
          {ZVM_IMAGE_ADDRESS + 0x3000, 0x1000, 0x3000, kRead, RegionSource::kImage},
          {ZVM_IMAGE_ADDRESS + 0x4000, 0x2000, 0x4000, kRead | kWrite, RegionSource::kImage}};
}

std::vector<ChannelFacts> TwoChannels() {
  return {{"/dev/stdin",
           channels::StartChannel(channels::AccessType::kSequentialBoth, {1, 2, 0, 0}, 77, false)},
          {"/dev/input",
           channels::StartChannel(channels::AccessType::kRandomBoth, {5, 6, 7, 8}, 99, false)}};
}

TEST(AddressSpace, RegionsAreSortedDisjointPagesNeverWritableCode) {
  const auto space = LayOut(SmallImage(), 64 * kMiB, TwoChannels());
  ASSERT_TRUE(space);
  std::uint64_t end = ZVM_GATE_ADDRESS;
  for (const Region& region : space->regions) {
    EXPECT_GE(region.address, end);
    EXPECT_EQ(region.address % kPageSize, 0U);
    EXPECT_EQ(region.size % kPageSize, 0U);
    EXPECT_GT(region.size, 0U);
    EXPECT_NE(region.access & (kWrite | kExecute), kWrite | kExecute);
    end = region.address + region.size;
  }
  EXPECT_EQ(end, kGuestEnd) << "the stack ends at 4 GiB";
}

TEST(AddressSpace, HeapGetsWhatStackAndImageLeave) {
  const auto space = LayOut(SmallImage(), 64 * kMiB, {});
  ASSERT_TRUE(space);
  EXPECT_EQ(space->heap_address, ZVM_IMAGE_ADDRESS + 0x10000);
  EXPECT_EQ(space->heap_size, 64 * kMiB - ZVM_STACK_SIZE - 0x10000);
}

TEST(AddressSpace, FourGiBHeapStopsBelowTheStack) {
  const auto space = LayOut(SmallImage(), kGuestEnd, {});
  ASSERT_TRUE(space);
  EXPECT_EQ(space->heap_address + space->heap_size, ZVM_STACK_ADDRESS - kMiB);
}

TEST(AddressSpace, RefusesMemoryThatLeavesNoHeap) {
  for (const std::uint64_t size : {std::uint64_t{0}, std::uint64_t{1}, 16 * kMiB,
                                   16 * kMiB + 0x1ffff, kGuestEnd + 1, ~std::uint64_t{0}}) {
    const auto space = LayOut(SmallImage(), size, {});
    ASSERT_FALSE(space) << size;
    EXPECT_EQ(space.error().code, ErrorCode::kInvalid);
    EXPECT_NE(space.error().message.find(std::to_string(size)), std::string::npos);
  }
  EXPECT_TRUE(LayOut(SmallImage(), 16 * kMiB + 0x20000, {}));
}

TEST(AddressSpace, JailedPiecesAreCutOutOfTheHeap) {
  auto space = LayOut(SmallImage(), 64 * kMiB, {});
  ASSERT_TRUE(space);
  const std::size_t count = space->regions.size();
  const std::uint64_t heap = space->heap_address;
  const std::vector<Region> jailed = {
      {heap, 0x1000, 0, kRead | kExecute, RegionSource::kJailed},
      {heap + 0x1000, 0x1000, 0, kRead | kExecute, RegionSource::kJailed},
      {heap + 0x5000, 0x2000, 0, kRead | kExecute, RegionSource::kJailed}};
  CutOutJailed(*space, jailed);
  EXPECT_EQ(space->regions.size(), count + 4);
  std::uint64_t end = 0, heap_size = 0;
  for (const Region& region : space->regions) {
    EXPECT_GE(region.address, end);
    end = region.address + region.size;
    if (region.address >= heap && end <= heap + space->heap_size) heap_size += region.size;
  }
  EXPECT_EQ(heap_size, space->heap_size);
}

TEST(AddressSpace, JailedPieceMayReachFromDataIntoTheHeap) {
  AddressSpace space;
  space.regions = {{0x10000, 0x2000, 0, kRead | kWrite, RegionSource::kZero},
                   {0x12000, 0x2000, 0, kRead | kWrite, RegionSource::kZero}};
  const Region piece{0x11000, 0x2000, 0, kRead | kExecute, RegionSource::kJailed};
  CutOutJailed(space, std::span(&piece, 1));
  ASSERT_EQ(space.regions.size(), 3U);
  EXPECT_EQ(space.regions[0].size, 0x1000U);
  EXPECT_EQ(space.regions[1].size, 0x2000U);
  EXPECT_EQ(space.regions[2].address, 0x13000U);
  EXPECT_EQ(space.regions[2].size, 0x1000U);
}

TEST(AddressSpace, ProgramThatReachesTheStackLeavesNoHeap) {
  const std::vector<Region> high = {
      {ZVM_STACK_ADDRESS - 0x10000, 0x8000, 0, kRead | kWrite, RegionSource::kImage}};
  EXPECT_FALSE(LayOut(high, kGuestEnd, {}));
}

TEST(AddressSpace, MappedChannelsLieBetweenHeapAndStackWithGaps) {
  auto channels = TwoChannels();
  channels.push_back({"/dev/third", {}, 5 * kMiB + 1});
  channels[1].map_size = 3;
  const auto space = LayOut(SmallImage(), kGuestEnd, channels);
  ASSERT_TRUE(space);
  std::vector<Region> maps;
  std::uint64_t end = 0;
  for (const Region& region : space->regions) {
    EXPECT_GE(region.address, end);
    if (region.source == RegionSource::kChannel) maps.push_back(region);
    if (region.source == RegionSource::kChannel || region.address == ZVM_STACK_ADDRESS) {
      EXPECT_GE(region.address, end + kMiB) << "unmapped memory in between";
    }
    end = region.address + region.size;
  }
  ASSERT_EQ(maps.size(), 2U);
  EXPECT_EQ(maps[0].image_offset, 2U) << "the channel";
  EXPECT_EQ(maps[0].size, 5 * kMiB + kPageSize);
  EXPECT_EQ(maps[1].image_offset, 1U);
  EXPECT_EQ(maps[1].size, kPageSize);
  for (const Region& map : maps) EXPECT_EQ(map.access, kRead);

  UserManifest manifest;
  std::memcpy(&manifest, space->manifest.data(), sizeof manifest);
  EXPECT_EQ(manifest.memory_size, kGuestEnd);
  ZVMChannel records[3];
  std::memcpy(records, space->manifest.data() + sizeof manifest, sizeof records);
  EXPECT_EQ(records[0].map, nullptr);
  EXPECT_EQ(records[0].map_size, 0U);
  EXPECT_EQ(reinterpret_cast<std::uint64_t>(records[1].map), maps[1].address);
  EXPECT_EQ(records[1].map_size, 3U);
  EXPECT_EQ(reinterpret_cast<std::uint64_t>(records[2].map), maps[0].address);
  EXPECT_EQ(records[2].map_size, 5 * kMiB + 1);
}

TEST(AddressSpace, ReadinessChannelHasAHandleAndNoRecord) {
  auto channels = TwoChannels();
  channels.emplace_back().is_readiness = true;
  const auto space = LayOut(SmallImage(), 64 * kMiB, channels);
  ASSERT_TRUE(space);
  UserManifest manifest;
  std::memcpy(&manifest, space->manifest.data(), sizeof manifest);
  EXPECT_EQ(manifest.channels_count, 2);
  EXPECT_EQ(manifest.readiness, 2);
}

TEST(AddressSpace, RefusesMapsThatDoNotFit) {
  for (const std::uint64_t size : {kGuestEnd, kGuestEnd - ZVM_STACK_SIZE, ~std::uint64_t{0}}) {
    std::vector<ChannelFacts> channels = TwoChannels();
    channels[0].map_size = size;
    const auto space = LayOut(SmallImage(), 64 * kMiB, channels);
    ASSERT_FALSE(space) << size;
    EXPECT_NE(space.error().message.find("mapped"), std::string::npos);
  }
  std::vector<ChannelFacts> channels = TwoChannels();
  channels[0].map_size = channels[1].map_size = std::uint64_t{2} << 30;
  EXPECT_FALSE(LayOut(SmallImage(), 64 * kMiB, channels));
}

TEST(AddressSpace, ManifestTellsTheGuestAboutItsChannels) {
  const auto space = LayOut(SmallImage(), 64 * kMiB, TwoChannels());
  ASSERT_TRUE(space);
  const auto at = [&](std::uint64_t guest) {
    return space->manifest.data() + (guest - ZVM_MANIFEST_ADDRESS);
  };
  UserManifest manifest;
  std::memcpy(&manifest, at(ZVM_MANIFEST_ADDRESS), sizeof manifest);
  EXPECT_EQ(manifest.abi_version, ZVM_ABI_VERSION);
  EXPECT_EQ(reinterpret_cast<std::uint64_t>(manifest.heap_ptr), space->heap_address);
  EXPECT_EQ(manifest.heap_size, space->heap_size);
  EXPECT_EQ(manifest.stack_size, ZVM_STACK_SIZE);
  ASSERT_EQ(manifest.channels_count, 2);
  ZVMChannel channels[2];
  std::memcpy(channels, at(reinterpret_cast<std::uint64_t>(manifest.channels)), sizeof channels);
  EXPECT_EQ(channels[0].size, 0) << "sequential channels show no size";
  EXPECT_EQ(channels[1].size, 99);
  EXPECT_EQ(channels[1].limits[PutSizeLimit], 8);
  EXPECT_EQ(channels[1].type, RGetRPut);
  EXPECT_STREQ(reinterpret_cast<const char*>(at(reinterpret_cast<std::uint64_t>(channels[1].name))),
               "/dev/input");
}

TEST(AddressSpace, AnImageIsPagesOfItsFileAndThenZeros) {
  using loader::Protection;
  loader::ImageLayout layout;
  layout.segments = {{0x400000, 0x3000, 0, 0x3000, Protection::kReadExecute},
                     {0x403000, 0x1000, 0x3000, 0x1000, Protection::kRead},
                     {0x404000, 0x5000, 0x4000, 0x2000, Protection::kReadWrite},
                     {0x409000, 0x1000, 0x6000, 0, Protection::kReadWrite}};
  const std::vector<Region> regions = ImageRegions(layout);
  ASSERT_EQ(regions.size(), 5U) << "a segment without bytes in the file is zeros only";
  const auto expect = [&](std::size_t k, std::uint64_t address, std::uint64_t size,
                          std::uint32_t access, RegionSource source) {
    EXPECT_EQ(regions[k].address, address) << k;
    EXPECT_EQ(regions[k].size, size) << k;
    EXPECT_EQ(regions[k].access, access) << k;
    EXPECT_EQ(regions[k].source, source) << k;
  };
  expect(0, 0x400000, 0x3000, kRead | kExecute, RegionSource::kImage);
  expect(1, 0x403000, 0x1000, kRead, RegionSource::kImage);
  expect(2, 0x404000, 0x2000, kRead | kWrite, RegionSource::kImage);
  expect(3, 0x406000, 0x3000, kRead | kWrite, RegionSource::kZero);
  expect(4, 0x409000, 0x1000, kRead | kWrite, RegionSource::kZero);
}

TEST(AddressSpace, RefusesChannelsThatDoNotFitTheManifestPages) {
  const std::vector<ChannelFacts> many(5000, {std::string(1000, 'x'), {}});
  const auto space = LayOut(SmallImage(), 64 * kMiB, many);
  ASSERT_FALSE(space);
  EXPECT_NE(space.error().message.find("5000 channels"), std::string::npos);
}

}  // namespace
}  // namespace zerocloud::runtime
