// The six calls over an arena: everything a guest can pass, without a guest.
#include "sandbox/runtime/calls.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <memory>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "channels/base/unique_fd.h"
#include "sandbox/include/zvm.h"
#include "sandbox/runtime/calls_asked.h"

namespace zerocloud::runtime {
namespace {

constexpr std::uint64_t kText = ZVM_IMAGE_ADDRESS;
constexpr std::uint64_t kData = kText + 0x1000;
constexpr std::uint64_t kHeap = kData + 0x2000;  // adjoins data
constexpr std::uint64_t kHeapSize = 0x10000;
constexpr std::uint64_t kHole = kHeap + kHeapSize;

int ended_sessions = 0;

// A session with three channels: a 26-byte file to read, a file to write, a file for both.
class CallsTest : public ::testing::Test {
 protected:
  CallsTest() {
    arena_ = mmap(nullptr, kGuestEnd, PROT_READ | PROT_WRITE,
                  MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    EXPECT_NE(arena_, MAP_FAILED);
    regions_ = {
        {ZVM_GATE_ADDRESS, 0x1000, 0, kRead | kExecute, RegionSource::kGate},
        {ZVM_MANIFEST_ADDRESS, 0x1000, 0, kRead, RegionSource::kManifest},
        {kText, 0x1000, 0, kRead | kExecute, RegionSource::kImage},
        {kData, 0x2000, 0, kRead | kWrite, RegionSource::kImage},
        {kHeap, kHeapSize, 0, kRead | kWrite, RegionSource::kZero},
        {ZVM_STACK_ADDRESS, ZVM_STACK_SIZE, 0, kRead | kWrite, RegionSource::kZero},
    };
    // What the regions say is also what the pages are, so that a wrong check shows as EFAULT.
    mprotect(Host(kText), 0x1000, PROT_READ);
    mprotect(Host(kHole), 0x100000, PROT_NONE);
    mprotect(Host(0), ZVM_GATE_ADDRESS, PROT_NONE);
    block_.phase = Phase::kRunning;
    Sha1Init(block_.memory_digest);
    AddFile({9, 100, 0, 0}, "abcdefghijklmnopqrstuvwxyz");
    AddFile({0, 0, 9, 100}, "");
    AddFile({9, 100, 9, 100}, "0123456789", channels::AccessType::kRandomBoth);
    ended_sessions = 0;
  }
  ~CallsTest() override {
    munmap(arena_, kGuestEnd);
    for (std::size_t i = 0; i < channels_.size(); ++i) close(kFirst + static_cast<int>(i));
  }

  void AddFile(channels::ChannelLimits limits, const std::string& bytes,
               channels::AccessType type = channels::AccessType::kSequentialBoth) {
    UniqueFd file(memfd_create("calls_test", MFD_CLOEXEC));
    EXPECT_EQ(write(file.get(), bytes.data(), bytes.size()), static_cast<ssize_t>(bytes.size()));
    Add(channels::StartChannel(type, limits, static_cast<std::int64_t>(bytes.size()), false),
        file.get());
  }
  void Add(const channels::ChannelState& state, int file) {
    BlockChannel channel{};
    channel.state = state;
    channel.wants_digest = 1;
    Sha1Init(channel.digest);
    ASSERT_EQ(dup2(file, kFirst + static_cast<int>(channels_.size())),
              kFirst + static_cast<int>(channels_.size()));
    channels_.push_back(channel);
  }

  void* Host(std::uint64_t guest) { return static_cast<char*>(arena_) + guest; }
  std::string Bytes(std::uint64_t guest, std::size_t size) {
    return {static_cast<const char*>(Host(guest)), size};
  }
  std::int64_t Call(std::uint64_t number, std::uint64_t a = 0, std::uint64_t b = 0,
                    std::uint64_t c = 0, std::uint64_t d = 0) {
    Calls calls{&block_,
                channels_.data(),
                static_cast<std::uint32_t>(channels_.size()),
                kFirst,
                GuestMemory(reinterpret_cast<std::uint64_t>(arena_), regions_.data(),
                            static_cast<std::uint32_t>(regions_.size())),
                [] { ++ended_sessions; }};
    return Dispatch(calls, number, a, b, c, d);
  }
  std::int64_t Pread(std::int64_t channel, std::uint64_t address, std::int64_t size,
                     std::int64_t offset = 0) {
    return Call(ZVM_CALL_PREAD, static_cast<std::uint64_t>(channel), address,
                static_cast<std::uint64_t>(size), static_cast<std::uint64_t>(offset));
  }
  std::int64_t Pwrite(std::int64_t channel, std::uint64_t address, std::int64_t size,
                      std::int64_t offset = 0) {
    return Call(ZVM_CALL_PWRITE, static_cast<std::uint64_t>(channel), address,
                static_cast<std::uint64_t>(size), static_cast<std::uint64_t>(offset));
  }

  static constexpr int kFirst = 700;  // above whatever the test program has open
  void* arena_;
  std::vector<Region> regions_;
  std::vector<BlockChannel> channels_;
  SessionBlock block_{};
};

TEST_F(CallsTest, PreadFillsTheGuestsBuffer) {
  EXPECT_EQ(Pread(0, kHeap, 5), 5);
  EXPECT_EQ(Bytes(kHeap, 5), "abcde");
  EXPECT_EQ(Pread(0, kHeap, 100, -1), 21) << "a sequential channel ignores the offset";
  EXPECT_EQ(Bytes(kHeap, 21), "fghijklmnopqrstuvwxyz");
  EXPECT_EQ(Pread(0, kHeap, 100), 0);
}

TEST_F(CallsTest, PwriteTakesTheGuestsBuffer) {
  std::memcpy(Host(kData), "hello", 5);
  EXPECT_EQ(Pwrite(1, kData, 5), 5);
  char back[6] = {};
  EXPECT_EQ(pread(kFirst + 1, back, 5, 0), 5);
  EXPECT_STREQ(back, "hello");
}

TEST_F(CallsTest, RandomChannelReadsBackWhatItWrote) {
  std::memcpy(Host(kData), "XY", 2);
  EXPECT_EQ(Pwrite(2, kData, 2, 4), 2);
  EXPECT_EQ(Pread(2, kHeap, 10, 0), 10);
  EXPECT_EQ(Bytes(kHeap, 10), "0123XY6789");
}

// The gate is not in it, and is not readable here: a digest that took it would fault.
TEST_F(CallsTest, ExitDigestsTheMemoryThatTheGuestCanRead) {
  block_.wants_memory_digest = 1;
  std::memcpy(Host(kHeap), "something", 9);
  channels::Sha1 expected;
  Sha1Init(expected);
  for (const Region& region : regions_) {
    if (region.source == RegionSource::kGate) continue;
    Sha1Update(expected, Host(region.address), region.size);
  }
  Call(ZVM_CALL_EXIT, 0);
  char want[channels::kDigestHexSize], got[channels::kDigestHexSize];
  Sha1FinalHex(expected, want);
  Sha1FinalHex(block_.memory_digest, got);
  EXPECT_EQ(std::string(got, sizeof got), std::string(want, sizeof want));
}

TEST_F(CallsTest, UnknownHandlesAreInvalid) {
  for (const std::int64_t handle :
       {std::int64_t{-1}, std::int64_t{3}, std::int64_t{0xffff}, INT64_MIN + 3}) {
    EXPECT_EQ(Pread(handle, kHeap, 1), -EINVAL) << handle;
    EXPECT_EQ(Pwrite(handle, kHeap, 1), -EINVAL) << handle;
  }
}

TEST_F(CallsTest, ReadsGoOnlyToMemoryThatTheGuestMayWrite) {
  for (const std::uint64_t address :
       {std::uint64_t{0}, std::uint64_t{1}, std::uint64_t{ZVM_GATE_ADDRESS},
        std::uint64_t{ZVM_MANIFEST_ADDRESS}, kText, kHole, std::uint64_t{ZVM_STACK_ADDRESS} - 1,
        kGuestEnd, kGuestEnd + kHeap, reinterpret_cast<std::uint64_t>(arena_), ~std::uint64_t{0}}) {
    EXPECT_EQ(Pread(0, address, 1), -EINVAL) << std::hex << address;
  }
  EXPECT_EQ(Pread(0, kHole - 1, 2), -EINVAL);
  EXPECT_EQ(Pread(0, kText + 0xfff, 2), -EINVAL) << "begins in text";
  EXPECT_EQ(Pread(0, kHeap - 1, 2), 2) << "data and heap adjoin";
  EXPECT_EQ(Pread(0, kGuestEnd - 1, 1), 1) << "the last byte of the stack";
  EXPECT_EQ(Pread(0, kGuestEnd - 1, 2), -EINVAL);
}

TEST_F(CallsTest, WritesComeOnlyFromMemoryThatTheGuestMayRead) {
  for (const std::uint64_t address :
       {std::uint64_t{0}, std::uint64_t{0xffff}, kHole, std::uint64_t{ZVM_STACK_ADDRESS} - 1,
        kGuestEnd, ~std::uint64_t{0}}) {
    EXPECT_EQ(Pwrite(1, address, 1), -EINVAL) << std::hex << address;
  }
  for (const std::uint64_t address :
       {std::uint64_t{ZVM_GATE_ADDRESS}, std::uint64_t{ZVM_MANIFEST_ADDRESS}, kText, kHole - 1,
        std::uint64_t{ZVM_STACK_ADDRESS}, kGuestEnd - 1}) {
    EXPECT_EQ(Pwrite(1, address, 1), 1) << std::hex << address;
  }
}

TEST_F(CallsTest, HugeSizesAreRefusedWithoutWrapping) {
  EXPECT_EQ(Pread(0, kHeap, INT64_MAX), -EINVAL);
  EXPECT_EQ(Pwrite(1, kHeap, INT64_MAX), -EINVAL);
  EXPECT_EQ(Pread(0, kHeap, INT64_MIN), -EFAULT);
  EXPECT_EQ(Pwrite(1, kHeap, -1), -EFAULT);
}

TEST_F(CallsTest, UnknownCallsAreRefusedAndTheSessionGoesOn) {
  for (const std::uint64_t number :
       {std::uint64_t{0}, std::uint64_t{1}, std::uint64_t{0xffffffff}}) {
    EXPECT_EQ(Call(number, ~0ULL, ~0ULL, ~0ULL, ~0ULL), -EPERM) << std::hex << number;
  }
  EXPECT_EQ(Call(ZVM_CALL_FORK), 0);
  EXPECT_EQ(ended_sessions, 0);
}

TEST_F(CallsTest, ExitRecordsTheCode) {
  Call(ZVM_CALL_EXIT, static_cast<std::uint64_t>(-3));
  EXPECT_EQ(ended_sessions, 1);
  EXPECT_EQ(block_.phase, Phase::kEnded);
  EXPECT_EQ(block_.end_cause, EndCause::kExited);
  EXPECT_EQ(block_.exit_code, -3);
}

TEST_F(CallsTest, HostFailureEndsTheSessionAndNamesTheChannel) {
  const UniqueFd unreadable(open("/dev/null", O_WRONLY | O_CLOEXEC));
  ASSERT_EQ(dup2(unreadable.get(), kFirst), kFirst);
  EXPECT_EQ(Pread(0, kHeap, 1), -EIO);
  EXPECT_EQ(ended_sessions, 1);
  EXPECT_EQ(block_.end_cause, EndCause::kChannelIo);
  EXPECT_EQ(block_.channel, 0);
  EXPECT_EQ(block_.host_errno, EBADF);
}

TEST_F(CallsTest, FirstCauseOfTheEndWins) {
  Call(ZVM_CALL_EXIT, 7);
  const UniqueFd unreadable(open("/dev/null", O_WRONLY | O_CLOEXEC));
  ASSERT_EQ(dup2(unreadable.get(), kFirst), kFirst);
  Pread(0, kHeap, 1);
  EXPECT_EQ(block_.end_cause, EndCause::kExited);
}

TEST_F(CallsTest, StreamsAreReadUntilTheyAreFullOrEnd) {
  int ends[2];
  ASSERT_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
  UniqueFd writer(ends[0]);
  const UniqueFd reader(ends[1]);
  Add(channels::StartChannel(channels::AccessType::kSequentialBoth, {9, 100, 0, 0}, 0, true),
      reader.get());
  ASSERT_EQ(write(writer.get(), "abc", 3), 3);
  ASSERT_EQ(write(writer.get(), "def", 3), 3);
  EXPECT_EQ(Pread(3, kHeap, 6), 6);
  EXPECT_EQ(Bytes(kHeap, 6), "abcdef");
  ASSERT_EQ(write(writer.get(), "g", 1), 1);
  writer.Reset();
  EXPECT_EQ(Pread(3, kHeap, 10), 1) << "short only at the end";
  EXPECT_EQ(Pread(3, kHeap, 10), 0);
}

TEST_F(CallsTest, StreamWithoutReaderIsAnErrorOfTheCall) {
  signal(SIGPIPE, SIG_IGN);
  int ends[2];
  ASSERT_EQ(pipe2(ends, O_CLOEXEC), 0);
  close(ends[0]);
  const UniqueFd writer(ends[1]);
  Add(channels::StartChannel(channels::AccessType::kSequentialBoth, {0, 0, 9, 100}, 0, true),
      writer.get());
  EXPECT_EQ(Pwrite(3, kHeap, 1), -EPIPE);
  EXPECT_EQ(ended_sessions, 0);
}

TEST_F(CallsTest, DigestCoversTheBytesInTheOrderOfTheCalls) {
  std::memcpy(Host(kData), "abc", 3);
  ASSERT_EQ(Pwrite(1, kData, 1), 1);
  ASSERT_EQ(Pwrite(1, kData + 1, 2), 2);
  char hex[channels::kDigestHexSize];
  channels::Sha1FinalHex(channels_[1].digest, hex);
  EXPECT_EQ(std::string(hex, sizeof hex), "a9993e364706816aba3e25717850c26c9cd0d89d");
}

// Whatever the arguments, a call answers, changes no memory outside the writable regions, and never
// passes a limit.
TEST_F(CallsTest, AnyArgumentsLeaveMemoryAndLimitsIntact) {
  std::mt19937_64 random(20130611);
  const std::vector<std::uint64_t> interesting = {0,
                                                  1,
                                                  2,
                                                  3,
                                                  4,
                                                  kText,
                                                  kData,
                                                  kHeap,
                                                  kHole,
                                                  kHole - 1,
                                                  ZVM_MANIFEST_ADDRESS,
                                                  kGuestEnd,
                                                  kGuestEnd - 1,
                                                  ~0ULL,
                                                  1ULL << 63,
                                                  ZVM_STACK_ADDRESS,
                                                  0xffffffff,
                                                  100,
                                                  26};
  const auto pick = [&] {
    const std::uint64_t value = interesting[random() % interesting.size()];
    return random() % 4 == 0 ? random() : value + random() % 3;
  };
  for (int i = 0; i < 20000; ++i) {
    Call(random() % 2 == 0 ? ZVM_CALL_PREAD : ZVM_CALL_PWRITE, random() % 4, pick(), pick(),
         pick());
  }
  EXPECT_EQ(Bytes(kText, 0x1000), std::string(0x1000, '\0'));
  EXPECT_EQ(Bytes(ZVM_MANIFEST_ADDRESS, 0x1000), std::string(0x1000, '\0'));
  for (const BlockChannel& channel : channels_) {
    EXPECT_LE(channel.state.gets, channel.state.limits.gets);
    EXPECT_LE(channel.state.get_bytes, channel.state.limits.get_size);
    EXPECT_LE(channel.state.puts, channel.state.limits.puts);
    EXPECT_LE(channel.state.put_bytes, channel.state.limits.put_size);
  }
}

// The other end of an asked channel: answers from `bytes`, or with less than it was asked for.
void AnswerFrom(int socket, const std::string& bytes, std::int64_t most,
                std::vector<AskedRange>& asked) {
  AskedRange range{};
  while (recv(socket, &range, sizeof range, MSG_WAITALL) == sizeof range) {
    asked.push_back(range);
    const std::int64_t size = std::min(range.size, most);
    std::string_view rest(bytes.data() + range.offset, static_cast<std::size_t>(size));
    while (!rest.empty()) {  // in pieces
      const ssize_t sent = send(socket, rest.data(), std::min<std::size_t>(rest.size(), 7), 0);
      if (sent <= 0) return;
      rest.remove_prefix(static_cast<std::size_t>(sent));
    }
    if (size < range.size) break;
  }
  shutdown(socket, SHUT_RDWR);
}

TEST_F(CallsTest, AsksForJustTheBytesOfEachRead) {
  int ends[2];
  ASSERT_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
  const UniqueFd guest_end(ends[0]);
  UniqueFd host_end(ends[1]);
  Add(channels::StartChannel(channels::AccessType::kRandomBoth, {9, 100, 0, 0}, 26, false),
      guest_end.get());
  channels_.back().is_asked = 1;
  std::vector<AskedRange> asked;
  std::thread host(AnswerFrom, host_end.get(), "abcdefghijklmnopqrstuvwxyz", 100, std::ref(asked));
  EXPECT_EQ(Pread(3, kHeap, 5, 10), 5);
  EXPECT_EQ(Bytes(kHeap, 5), "klmno");
  EXPECT_EQ(Pread(3, kHeap, 100, 20), 6);  // cut at the end
  EXPECT_EQ(Bytes(kHeap, 6), "uvwxyz");
  EXPECT_EQ(Pread(3, kHeap, 5, 26), 0);
  EXPECT_EQ(Pread(3, kHeap, 5, -1), -EINVAL);
  EXPECT_EQ(Pread(3, kText, 5, 0), -EINVAL);
  shutdown(guest_end.get(), SHUT_RDWR);
  host.join();
  ASSERT_EQ(asked.size(), 2U);
  EXPECT_EQ(asked[0].offset, 10);
  EXPECT_EQ(asked[0].size, 5);
  EXPECT_EQ(asked[1].offset, 20);
  EXPECT_EQ(asked[1].size, 6);
  EXPECT_EQ(ended_sessions, 0);
}

TEST_F(CallsTest, AnAnswerThatIsTooShortEndsTheSession) {
  int ends[2];
  ASSERT_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
  const UniqueFd guest_end(ends[0]);
  const UniqueFd host_end(ends[1]);
  Add(channels::StartChannel(channels::AccessType::kRandomBoth, {9, 100, 0, 0}, 26, false),
      guest_end.get());
  channels_.back().is_asked = 1;
  std::vector<AskedRange> asked;
  std::thread host(AnswerFrom, host_end.get(), "abcdefghijklmnopqrstuvwxyz", 3, std::ref(asked));
  EXPECT_EQ(Pread(3, kHeap, 5, 10), -EIO);
  host.join();
  EXPECT_EQ(ended_sessions, 1);
  EXPECT_EQ(block_.end_cause, EndCause::kChannelIo);
  EXPECT_EQ(block_.host_errno, EIO);
}

}  // namespace
}  // namespace zerocloud::runtime
