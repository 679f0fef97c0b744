// fork over an arena: what stands in the snapshot file afterwards.
#include "sandbox/runtime/fork.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <vector>

#include "channels/base/unique_fd.h"
#include "sandbox/include/zvm.h"

namespace zerocloud::runtime {
namespace {

constexpr std::uint64_t kText = ZVM_IMAGE_ADDRESS;
constexpr std::uint64_t kData = kText + 0x1000;
constexpr std::uint64_t kHeap = kData + 0x2000;
constexpr std::uint64_t kCode = kHeap + 0x10000;

class ForkTest : public ::testing::Test {
 protected:
  ForkTest() {
    arena_ = mmap(nullptr, kGuestEnd, PROT_READ | PROT_WRITE,
                  MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    EXPECT_NE(arena_, MAP_FAILED);
    file_.Reset(memfd_create("fork_test", MFD_CLOEXEC));
    EXPECT_EQ(ftruncate(file_.get(), static_cast<off_t>(kGuestEnd)), 0);
    registers_.rbx = 1;
    registers_.rsp = kGuestEnd - 64;
    block_.phase = Phase::kRunning;
    calls_.memory = GuestMemory(reinterpret_cast<std::uint64_t>(arena_), regions_.data(),
                                static_cast<std::uint32_t>(regions_.size()));
    calls_.registers = &registers_;
  }
  ~ForkTest() override { munmap(arena_, kGuestEnd); }

  void Put(std::uint64_t address) const { static_cast<char*>(arena_)[address] = 'x'; }

  // Where the file has pages: start and end, in turn.
  [[nodiscard]] std::vector<std::uint64_t> Pages() const {
    std::vector<std::uint64_t> ends;
    off_t at = 0;
    for (int whence = SEEK_DATA; (at = lseek(file_.get(), at, whence)) >= 0;
         whence = whence == SEEK_DATA ? SEEK_HOLE : SEEK_DATA) {
      ends.push_back(static_cast<std::uint64_t>(at));
    }
    return ends;
  }

  void* arena_;
  UniqueFd file_;
  std::vector<Region> regions_ = {
      {ZVM_GATE_ADDRESS, 0x1000, 0, kRead | kExecute, RegionSource::kGate},
      {kText, 0x1000, 0, kRead | kExecute, RegionSource::kImage},
      {kData, 0x2000, 0, kRead | kWrite, RegionSource::kImage},
      {kHeap, 0x10000, 0, kRead | kWrite, RegionSource::kZero},
      {kCode, 0x1000, 0, kRead | kExecute, RegionSource::kJailed},
      {ZVM_STACK_ADDRESS, ZVM_STACK_SIZE, 0, kRead | kWrite, RegionSource::kZero}};
  GuestRegisters registers_{};
  SessionBlock block_{};
  Calls calls_{&block_, nullptr, 0, 0, GuestMemory(0, nullptr, 0), [] {}};
};

TEST_F(ForkTest, IsZeroAtOnceWithoutASnapshotFile) {
  EXPECT_EQ(Fork(calls_), 0);
  EXPECT_EQ(block_.phase, Phase::kRunning);
}

TEST_F(ForkTest, WritesWhatTheGuestCanHaveChangedAndLeavesZerosOut) {
  calls_.snapshot_descriptor = file_.get();
  Put(ZVM_GATE_ADDRESS);
  Put(kText);
  Put(kHeap + 0x3fff);
  Put(kHeap + 0x4000);
  Put(kHeap + 0xffff);
  Put(kGuestEnd - 1);
  EXPECT_EQ(Fork(calls_), 0);
  EXPECT_EQ(block_.end_cause, EndCause::kForked);
  EXPECT_EQ(block_.registers.rbx, 1U);
  EXPECT_EQ(block_.registers.rsp, kGuestEnd - 64);
  // Data of the image and code that was jailed are there whatever they hold.
  const std::vector<std::uint64_t> expected = {
      kData,          kData + 0x2000, kHeap + 0x3000,     kHeap + 0x5000,
      kHeap + 0xf000, kCode + 0x1000, kGuestEnd - 0x1000, kGuestEnd};
  EXPECT_EQ(Pages(), expected);
  char byte = 0;
  EXPECT_EQ(pread(file_.get(), &byte, 1, static_cast<off_t>(kHeap + 0x3fff)), 1);
  EXPECT_EQ(byte, 'x') << "a byte stands at its address";
}

TEST_F(ForkTest, FileThatCannotBeWrittenEndsTheSessionOtherwise) {
  const UniqueFd closed(open("/dev/null", O_RDONLY | O_CLOEXEC));
  calls_.snapshot_descriptor = closed.get();
  EXPECT_EQ(Fork(calls_), -EIO);
  EXPECT_EQ(block_.end_cause, EndCause::kSnapshotIo);
  EXPECT_EQ(block_.host_errno, EBADF);
}

}  // namespace
}  // namespace zerocloud::runtime
