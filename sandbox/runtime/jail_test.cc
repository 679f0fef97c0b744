// jail and unjail over an arena: what becomes code, what never does, and what stays true of the map
// of regions whatever a guest asks for.
#include "sandbox/runtime/jail.h"

#include <gtest/gtest.h>
#include <sys/mman.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <random>
#include <sstream>
#include <string>
#include <vector>

#include "sandbox/include/zvm.h"
#include "sandbox/verifier/verify_core.h"

namespace zerocloud::runtime {
namespace {

constexpr std::uint64_t kText = ZVM_IMAGE_ADDRESS;
constexpr std::uint64_t kData = kText + 0x1000;
constexpr std::uint64_t kHeap = kData + 0x1000;
constexpr std::uint64_t kHeapSize = std::uint64_t{24} << 20;
constexpr std::uint64_t kHigh = std::uint64_t{0x7fff0000};  // data across 2 GiB
constexpr std::uint64_t kPage = kPageSize;

class JailTest : public ::testing::Test {
 protected:
  JailTest() {
    arena_ = mmap(nullptr, kGuestEnd, PROT_READ | PROT_WRITE,
                  MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    EXPECT_NE(arena_, MAP_FAILED);
    regions_ = {
        {ZVM_GATE_ADDRESS, 0x1000, 0, kRead | kExecute, RegionSource::kGate},
        {ZVM_MANIFEST_ADDRESS, 0x1000, 0, kRead, RegionSource::kManifest},
        {kText, 0x1000, 0, kRead | kExecute, RegionSource::kImage},
        {kData, 0x1000, 0, kRead | kWrite, RegionSource::kImage},
        {kHeap, kHeapSize, 0, kRead | kWrite, RegionSource::kZero},
        {kHigh, 0x20000, 0, kRead | kWrite, RegionSource::kZero},
        {ZVM_STACK_ADDRESS, ZVM_STACK_SIZE, 0, kRead | kWrite, RegionSource::kZero},
    };
    first_count_ = static_cast<std::uint32_t>(regions_.size());
    first_regions_ = regions_;
    regions_.resize(first_count_ + 2 * kMaxJailedRegions);
    block_.isa_level = 2;
    block_.region_count = first_count_;
    calls_.regions = regions_.data();
    calls_.region_capacity = static_cast<std::uint32_t>(regions_.size());
    calls_.memory =
        GuestMemory(reinterpret_cast<std::uint64_t>(arena_), regions_.data(), first_count_);
  }
  ~JailTest() override { munmap(arena_, kGuestEnd); }

  [[nodiscard]] unsigned char* Host(std::uint64_t address) const {
    return static_cast<unsigned char*>(arena_) + address;
  }
  void Fill(std::uint64_t address, std::uint64_t size, int byte = 0x90) const {
    std::memset(Host(address), byte, size);
  }
  std::int64_t TryJail(std::uint64_t address, std::uint64_t size) {
    return Dispatch(calls_, ZVM_CALL_JAIL, address, size, 0, 0);
  }
  std::int64_t TryUnjail(std::uint64_t address, std::uint64_t size) {
    return Dispatch(calls_, ZVM_CALL_UNJAIL, address, size, 0, 0);
  }

  // Of the page at `address`, from the kernel: "r-xp".
  [[nodiscard]] std::string Rights(std::uint64_t address) const {
    const auto wanted = reinterpret_cast<std::uint64_t>(Host(address));
    std::ifstream maps("/proc/self/maps");
    for (std::string line; std::getline(maps, line);) {
      std::uint64_t start = 0, end = 0;
      char dash = 0;
      std::string rights;
      std::istringstream(line) >> std::hex >> start >> dash >> end >> rights;
      if (start <= wanted && wanted < end) return rights;
    }
    return "";
  }

  // Sorted, disjoint, the same bytes in all as at the start, never writable code.
  void CheckMap() const {
    std::uint64_t total = 0, expected = 0, least = 0;
    for (const Region& region : first_regions_) expected += region.size;
    for (const Region& region : calls_.memory) {
      EXPECT_GE(region.address, least);
      EXPECT_GT(region.size, 0U);
      EXPECT_NE(region.access & (kWrite | kExecute), kWrite | kExecute);
      least = region.address + region.size;
      total += region.size;
    }
    EXPECT_EQ(total, expected);
    EXPECT_EQ(block_.region_count,
              static_cast<std::uint32_t>(calls_.memory.end() - calls_.memory.begin()));
  }

  void* arena_;
  std::uint32_t first_count_;
  std::vector<Region> regions_, first_regions_;
  SessionBlock block_{};
  Calls calls_{&block_, nullptr, 0, 0, GuestMemory(0, nullptr, 0), [] {}};
};

TEST_F(JailTest, VerifiedPagesBecomeCodeAndDataAgain) {
  Fill(kHeap + kPage, 2 * kPage);
  ASSERT_EQ(TryJail(kHeap + kPage, 2 * kPage), 0);
  EXPECT_EQ(Rights(kHeap + kPage), "r-xp");
  EXPECT_EQ(Rights(kHeap + 2 * kPage), "r-xp");
  EXPECT_EQ(Rights(kHeap), "rw-p");
  EXPECT_EQ(Rights(kHeap + 3 * kPage), "rw-p");
  EXPECT_FALSE(calls_.memory.Contains(kHeap + kPage, 1, kWrite)) << "pread would write code";
  EXPECT_TRUE(calls_.memory.Contains(kHeap, kHeapSize, kRead));
  CheckMap();
  ASSERT_EQ(TryUnjail(kHeap + kPage, 2 * kPage), 0);
  EXPECT_EQ(Rights(kHeap + kPage), "rw-p");
  EXPECT_TRUE(calls_.memory.Contains(kHeap, kHeapSize, kWrite));
  EXPECT_EQ(block_.region_count, first_count_) << "the pieces are one again";
  CheckMap();
}

// The escape of ZeroVM 1.0: only `size` bytes were verified, but the kernel knows whole pages.
TEST_F(JailTest, RestOfTheLastPageIsTraps) {
  Fill(kHeap, 32);
  Fill(kHeap + 32, 1, 0x0f);
  Fill(kHeap + 33, 1, 0x05);  // syscall
  ASSERT_EQ(TryJail(kHeap, 32), 0);
  for (std::uint64_t i = 32; i < kPage; ++i) ASSERT_EQ(*Host(kHeap + i), 0xcc) << i;
  EXPECT_EQ(*Host(kHeap + kPage), 0);
  ASSERT_EQ(TryUnjail(kHeap, 32), 0) << "the same size unjails";
}

TEST_F(JailTest, CodeThatBreaksARuleStaysData) {
  for (const std::uint64_t at : {std::uint64_t{0}, kPage - 2, kPage, 3 * kPage - 2}) {
    Fill(kHeap, 3 * kPage);
    *Host(kHeap + at) = 0x0f;
    *Host(kHeap + at + 1) = 0x05;
    EXPECT_EQ(TryJail(kHeap, 3 * kPage), -EPERM) << at;
    EXPECT_EQ(Rights(kHeap), "rw-p");
    EXPECT_EQ(Rights(kHeap + 2 * kPage), "rw-p");
    EXPECT_EQ(block_.region_count, first_count_);
  }
}

TEST_F(JailTest, BranchesCannotLeaveTheirPiece) {
  Fill(kHeap, 2 * kPage);
  ASSERT_EQ(TryJail(kHeap, kPage), 0);
  // jmp to the start of the other piece, which is an instruction there.
  const unsigned char jump[] = {0xe9, 0xfb, 0xef, 0xff, 0xff};
  std::memcpy(Host(kHeap + kPage), jump, sizeof jump);
  EXPECT_EQ(TryJail(kHeap + kPage, kPage), -EPERM);
}

TEST_F(JailTest, OnlyPlainDataBelowTwoGiBBecomesCode) {
  struct Case {
    std::uint64_t address, size;
    const char* what;
  };
  for (const Case& c : {
           Case{0, kPage, "page zero"},
           Case{ZVM_GATE_ADDRESS, kPage, "gate"},
           Case{ZVM_MANIFEST_ADDRESS, kPage, "user manifest"},
           Case{kText, kPage, "text"},
           Case{kText, 4 * kPage, "text and what follows"},
           Case{kData, kPage, "data of the image"},
           Case{kData, 2 * kPage, "data of the image and heap"},
           Case{kHeap, 0, "nothing"},
           Case{kHeap + 1, kPage, "half a page"},
           Case{kHeap + 32, 32, "a bundle inside a page"},
           Case{kHeap, kHeapSize + 1, "the heap and more"},
           Case{kHeap + kHeapSize - kPage, 2 * kPage, "across the end"},
           Case{kHeap + kHeapSize, kPage, "a hole"},
           Case{kHeap, ~std::uint64_t{0}, "a size that wraps"},
           Case{kHeap, ~std::uint64_t{0} - kHeap + 1, "up to 2^64"},
           Case{kHigh + 0xf000, 2 * kPage, "across 2 GiB"},
           Case{kHigh + 0x10000, kPage, "above 2 GiB"},
           Case{ZVM_STACK_ADDRESS, kPage, "stack"},
           Case{kGuestEnd - kPage, kPage, "end of the stack"},
           Case{kGuestEnd, kPage, "4 GiB"},
           Case{kGuestEnd + kHeap, kPage, "above 4 GiB"},
           Case{reinterpret_cast<std::uint64_t>(arena_), kPage, "the host"},
           Case{~std::uint64_t{0} - kPage + 1, kPage, "the last page there is"},
       }) {
    EXPECT_LT(TryJail(c.address, c.size), 0) << c.what;
    EXPECT_EQ(TryUnjail(c.address, c.size), -EINVAL) << c.what;
  }
  Fill(kHigh, 0x10000);
  EXPECT_EQ(TryJail(kHigh, 0x10000), 0) << "up to 2 GiB";
  EXPECT_EQ(TryJail(kHeap, kMaxJailSize + 1), -E2BIG);
  CheckMap();
}

TEST_F(JailTest, OneByteIsNoWhole) {
  Fill(kHeap, 4 * kPage);
  ASSERT_EQ(TryJail(kHeap, 4 * kPage), 0);
  EXPECT_EQ(TryJail(kHeap, 4 * kPage), -EINVAL) << "it is code already";
  EXPECT_EQ(TryJail(kHeap + 3 * kPage, 2 * kPage), -EINVAL) << "overlaps code";
  EXPECT_EQ(TryUnjail(kHeap, kPage), -EINVAL);
  EXPECT_EQ(TryUnjail(kHeap + kPage, kPage), -EINVAL);
  EXPECT_EQ(TryUnjail(kHeap, 5 * kPage), -EINVAL);
  EXPECT_EQ(TryUnjail(kHeap, 0), -EINVAL);
  EXPECT_EQ(TryUnjail(kHeap, 4 * kPage), 0);
  EXPECT_EQ(TryUnjail(kHeap, 4 * kPage), -EINVAL) << "it is data already";
}

TEST_F(JailTest, TheLargestPieceIsVerified) {
  Fill(kHeap, kMaxJailSize);
  EXPECT_EQ(TryJail(kHeap, kMaxJailSize), 0);
  EXPECT_EQ(TryUnjail(kHeap, kMaxJailSize), 0);
  *Host(kHeap + kMaxJailSize - 1) = 0xf0;
  EXPECT_EQ(TryJail(kHeap, kMaxJailSize), -EPERM);
}

TEST_F(JailTest, PiecesAreBounded) {
  for (std::uint64_t i = 0; i < kMaxJailedRegions; ++i) {
    Fill(kHeap + 2 * i * kPage, kPage);
    ASSERT_EQ(TryJail(kHeap + 2 * i * kPage, kPage), 0) << i;
  }
  Fill(kHigh, kPage);
  EXPECT_EQ(TryJail(kHigh, kPage), -ENOMEM);
  CheckMap();
  EXPECT_EQ(TryUnjail(kHeap, kPage), 0);
  EXPECT_EQ(TryJail(kHigh, kPage), 0);
}

TEST_F(JailTest, NothingBecomesCodeInASessionWithoutRoom) {
  calls_.region_capacity = 0;
  Fill(kHeap, kPage);
  EXPECT_EQ(TryJail(kHeap, kPage), -ENOMEM);
}

TEST_F(JailTest, AnySequenceKeepsTheMapAndTheRightsTrue) {
  std::mt19937_64 random(20130611);
  Fill(kHeap, 64 * kPage);
  for (int i = 0; i < 5000; ++i) {
    const std::uint64_t address = kHeap + random() % 64 * kPage;
    const std::uint64_t size = (1 + random() % 4) * kPage - random() % 2;
    if (random() % 2 == 0) {
      TryJail(address, size);
    } else {
      TryUnjail(address, size);
    }
  }
  CheckMap();
  for (std::uint64_t page = kHeap; page < kHeap + 64 * kPage; page += kPage) {
    EXPECT_EQ(Rights(page), calls_.memory.Contains(page, kPage, kWrite) ? "rw-p" : "r-xp");
  }
}

}  // namespace
}  // namespace zerocloud::runtime
