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
    DigestInit(block_.memory_digest, channels::DigestKind::kSha1);
    AddFile({9, 100, 0, 0}, "abcdefghijklmnopqrstuvwxyz");
    AddFile({0, 0, 9, 100}, "");
    AddFile({9, 100, 9, 100}, "0123456789", channels::AccessType::kRandomBoth);
    ended_sessions = 0;
  }
  ~CallsTest() override {
    munmap(arena_, kGuestEnd);
    for (std::uint32_t i = 0; i < source_count_; ++i) close(kFirst + static_cast<int>(i));
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
    DigestInit(channel.digest, channels::DigestKind::kSha1);
    channel.first_source = source_count_;
    channel.source_count = 1;
    channels_.push_back(channel);
    AddDescriptor(file);
  }
  void AddDescriptor(int file) {
    const int descriptor = kFirst + static_cast<int>(source_count_++);
    ASSERT_EQ(dup2(file, descriptor), descriptor);
  }
  // One more source for the channel that was added last.
  void AddSource(const std::string& bytes) {
    const UniqueFd file(memfd_create("calls_test", MFD_CLOEXEC));
    EXPECT_EQ(write(file.get(), bytes.data(), bytes.size()), static_cast<ssize_t>(bytes.size()));
    ++channels_.back().source_count;
    AddDescriptor(file.get());
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
    calls.trace = trace_.data();
    calls.trace_capacity = trace_.size();
    calls.stderr_tail = stderr_tail_;
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
  std::uint32_t source_count_ = 0;
  std::vector<TraceCall> trace_;
  unsigned char stderr_tail_[kStderrTailSize]{};
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
  channels::Digest expected;
  DigestInit(expected, channels::DigestKind::kSha1);
  DigestInit(block_.memory_digest, channels::DigestKind::kSha1);
  for (const Region& region : regions_) {
    if (region.source == RegionSource::kGate) continue;
    DigestUpdate(expected, Host(region.address), region.size);
  }
  Call(ZVM_CALL_EXIT, 0);
  char want[channels::kMaxDigestHexSize], got[channels::kMaxDigestHexSize];
  const std::size_t size = DigestFinalHex(expected, want);
  EXPECT_EQ(DigestFinalHex(block_.memory_digest, got), size);
  EXPECT_EQ(std::string(got, size), std::string(want, size));
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

TEST_F(CallsTest, NothingIsGuestMemoryBehindTheLastRegion) {
  const Region last = regions_.back();
  regions_.pop_back();
  EXPECT_EQ(Pread(0, last.address, 1), -EINVAL);
  EXPECT_EQ(Pread(0, kGuestEnd - 1, 1), -EINVAL);
  regions_.push_back(last);
  EXPECT_EQ(Pread(0, last.address, 1), 1);
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
  char hex[channels::kMaxDigestHexSize];
  const std::size_t size = channels::DigestFinalHex(channels_[1].digest, hex);
  EXPECT_EQ(std::string(hex, size), "a9993e364706816aba3e25717850c26c9cd0d89d");
}

TEST_F(CallsTest, LastBytesOfStandardErrorAreKept) {
  channels_[2].state =
      channels::StartChannel(channels::AccessType::kSequentialBoth, {0, 0, 99, 99999}, 0, false);
  std::memset(Host(kHeap), 'x', 5000);
  std::memcpy(Host(kHeap + 5000 - 3), "end", 3);
  EXPECT_EQ(Pwrite(2, kHeap + 4997, 3), 3);
  EXPECT_EQ(block_.stderr_bytes, 3U);
  EXPECT_EQ(std::memcmp(stderr_tail_, "end", 3), 0);
  EXPECT_EQ(Pwrite(2, kHeap, 5000), 5000);  // more than it holds: the last of them, from 3 on
  EXPECT_EQ(block_.stderr_bytes, 5003U);
  constexpr std::size_t kEnd = 5003 - kStderrTailSize;
  EXPECT_EQ(std::memcmp(stderr_tail_ + kEnd - 3, "endx", 4), 0);
  EXPECT_EQ(Pwrite(1, kHeap, 5), 5) << "of other channels nothing";
  EXPECT_EQ(Pwrite(2, kHole, 5), -EINVAL);
  EXPECT_EQ(block_.stderr_bytes, 5003U);
}

TEST_F(CallsTest, TwoOfThreeSourcesDecide) {
  AddFile({9, 100, 0, 0}, "abXdef");
  AddSource("abcdef");
  AddSource("abcdef");
  EXPECT_EQ(Pread(3, kHeap, 10), 6);
  EXPECT_EQ(Bytes(kHeap, 6), "abcdef");
  EXPECT_EQ(channels_[3].outvoted_sources, 1U);
  EXPECT_EQ(channels_[3].failed_sources, 0U);
}

TEST_F(CallsTest, SourceThatFailsIsNotAskedAgain) {
  AddFile({9, 100, 0, 0}, "abcdef");
  AddSource("abcdef");
  AddSource("abcdef");
  const UniqueFd unreadable(open("/dev/null", O_WRONLY | O_CLOEXEC));
  ASSERT_EQ(dup2(unreadable.get(), kFirst + 3), kFirst + 3);
  EXPECT_EQ(Pread(3, kHeap, 3), 3);
  EXPECT_EQ(Pread(3, kHeap + 3, 9), 3);
  EXPECT_EQ(Bytes(kHeap, 6), "abcdef");
  EXPECT_EQ(channels_[3].failed_sources, 1U);
  EXPECT_EQ(ended_sessions, 0);
}

TEST_F(CallsTest, SourcesThatDisagreeEndTheSession) {
  AddFile({9, 100, 0, 0}, "abcdef");
  AddSource("abcdeX");
  EXPECT_EQ(Pread(3, kHeap, 5), 5) << "as far as they agree";
  EXPECT_EQ(Pread(3, kHeap, 1), -EIO);
  EXPECT_EQ(ended_sessions, 1);
  EXPECT_EQ(block_.end_cause, EndCause::kChannelIo);
  EXPECT_EQ(block_.channel, 3);
  EXPECT_EQ(block_.host_errno, EBADMSG);
}

TEST_F(CallsTest, VotesGoPieceByPieceAcrossLongReads) {
  constexpr std::size_t kSize = 0xf000;
  constexpr std::size_t kPiece = 64 << 10;
  const std::string good(2 * kPiece + 10, 'g');
  std::string first = good;
  std::string second = good;
  first[5] = 'X';
  second[kPiece + 5] = 'X';
  AddFile({99, 1 << 20, 0, 0}, first, channels::AccessType::kRandomBoth);
  AddSource(second);
  AddSource(good);
  for (std::size_t at = 0; at < good.size(); at += kSize) {
    const std::size_t size = std::min(kSize, good.size() - at);
    ASSERT_EQ(Pread(3, kHeap, kSize, static_cast<std::int64_t>(at)),
              static_cast<std::int64_t>(size));
    EXPECT_EQ(Bytes(kHeap, size), good.substr(at, size)) << at;
  }
  EXPECT_EQ(channels_[3].outvoted_sources, 3U);
}

TEST_F(CallsTest, WritesGoToEverySource) {
  AddFile({0, 0, 9, 100}, "");
  AddSource("");
  std::memcpy(Host(kData), "hello", 5);
  EXPECT_EQ(Pwrite(3, kData, 5), 5);
  for (const int descriptor : {kFirst + 3, kFirst + 4}) {
    char back[6] = {};
    EXPECT_EQ(pread(descriptor, back, 5, 0), 5);
    EXPECT_STREQ(back, "hello");
  }
  const UniqueFd full(open("/dev/full", O_WRONLY | O_CLOEXEC));
  ASSERT_EQ(dup2(full.get(), kFirst + 4), kFirst + 4);
  EXPECT_EQ(Pwrite(3, kData, 5), -EIO);
  EXPECT_EQ(block_.host_errno, ENOSPC);
}

TEST_F(CallsTest, StreamsThatVoteStayInStep) {
  std::vector<UniqueFd> writers;
  std::vector<UniqueFd> readers;
  for (int i = 0; i < 3; ++i) {
    int ends[2];
    ASSERT_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
    writers.emplace_back(ends[0]);
    readers.emplace_back(ends[1]);
  }
  Add(channels::StartChannel(channels::AccessType::kSequentialBoth, {9, 100, 0, 0}, 0, true),
      readers[0].get());
  channels_.back().source_count = 3;
  AddDescriptor(readers[1].get());
  AddDescriptor(readers[2].get());
  ASSERT_EQ(write(writers[0].get(), "abcd", 4), 4);
  ASSERT_EQ(write(writers[1].get(), "abcd", 4), 4);
  ASSERT_EQ(write(writers[2].get(), "abXdef", 6), 6);
  EXPECT_EQ(Pread(3, kHeap, 4), 4);
  ASSERT_EQ(write(writers[0].get(), "Xf", 2), 2);
  ASSERT_EQ(write(writers[1].get(), "ef", 2), 2);
  for (UniqueFd& writer : writers) writer.Reset();
  EXPECT_EQ(Pread(3, kHeap + 4, 9), 2);
  EXPECT_EQ(Bytes(kHeap, 6), "abcdef");
  EXPECT_EQ(channels_[3].outvoted_sources, 5U);
  EXPECT_EQ(Pread(3, kHeap, 9), 0);
}

TEST_F(CallsTest, TraceHoldsTheFirstCallsAndCountsAll) {
  trace_.resize(2);
  EXPECT_EQ(Pread(0, kHeap, 5, 7), 5);
  EXPECT_EQ(Pread(9, kHeap, 5), -EINVAL);
  EXPECT_EQ(Pread(0, kHeap, 5), 5);
  EXPECT_EQ(block_.trace_count, 3U);
  EXPECT_EQ(trace_[0].number, std::uint64_t{ZVM_CALL_PREAD});
  EXPECT_EQ(trace_[0].arguments[2], 5U);
  EXPECT_EQ(trace_[0].arguments[3], 7U);
  EXPECT_EQ(trace_[0].result, 5);
  EXPECT_LE(trace_[0].start, trace_[0].end);
  EXPECT_EQ(trace_[1].result, -EINVAL);
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
