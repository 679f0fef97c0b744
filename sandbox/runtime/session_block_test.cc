#include "sandbox/runtime/session_block.h"

#include <gtest/gtest.h>

#include <cstddef>
#include <memory>

namespace zerocloud::runtime {
namespace {

// Launcher and host find the parts of a block by the same numbers.
TEST(SessionBlock, ItsPartsFollowEachOtherAndFillIt) {
  // Not known to the compiler: as it is in the launcher.
  volatile std::uint32_t numbers[] = {5, 3, 2, 7, 100};
  const std::uint32_t kRegions = numbers[0], kRuns = numbers[1], kChannels = numbers[2],
                      kTraced = numbers[3], kManifestSize = numbers[4];
  const std::uint64_t size =
      SessionBlock::SizeFor(kRegions + kRuns, kChannels, kTraced, kManifestSize);
  const auto memory = std::make_unique<std::max_align_t[]>(size / sizeof(std::max_align_t) + 1);
  auto* const block = new (memory.get()) SessionBlock{};
  block->region_capacity = kRegions;
  block->run_count = kRuns;
  block->channel_count = kChannels;
  block->trace_capacity = kTraced;
  block->manifest_size = kManifestSize;
  const auto offset = [&](const void* part) {
    return static_cast<std::uint64_t>(static_cast<const std::byte*>(part) -
                                      reinterpret_cast<const std::byte*>(block));
  };
  EXPECT_EQ(offset(block->regions()), sizeof(SessionBlock));
  EXPECT_EQ(offset(block->runs()), offset(block->regions()) + kRegions * sizeof(Region));
  EXPECT_EQ(offset(block->channels()), offset(block->runs()) + kRuns * sizeof(Region));
  EXPECT_EQ(offset(block->trace()), offset(block->channels()) + kChannels * sizeof(BlockChannel));
  EXPECT_EQ(offset(block->manifest()), offset(block->trace()) + kTraced * sizeof(TraceCall));
  EXPECT_EQ(offset(block->stderr_tail()), offset(block->manifest()) + kManifestSize);
  EXPECT_EQ(offset(block->stderr_tail()) + kStderrTailSize, size);
}

}  // namespace
}  // namespace zerocloud::runtime
