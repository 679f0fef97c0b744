#include "channels/channel_rules.h"

#include <gtest/gtest.h>

#include <cstdint>
#include <ostream>
#include <random>
#include <string>
#include <vector>

namespace zerocloud::channels {
namespace {

constexpr std::int64_t kBadHandle = -kErrnoBadHandle;
constexpr std::int64_t kFault = -kErrnoFault;
constexpr std::int64_t kInvalid = -kErrnoInvalid;
constexpr std::int64_t kOverQuota = -kErrnoOverQuota;
constexpr std::int64_t kMax = INT64_MAX;
constexpr std::int64_t kMin = INT64_MIN;
constexpr std::int64_t kMany = 1000;

constexpr AccessType kSeqSeq = AccessType::kSequentialBoth;
constexpr AccessType kRanSeq = AccessType::kRandomGetSequentialPut;
constexpr AccessType kSeqRan = AccessType::kSequentialGetRandomPut;
constexpr AccessType kRanRan = AccessType::kRandomBoth;

// A channel over a host that holds bytes without looking at them: files by length, a stream by what
// its writer has still to send before it closes.
class Host {
 public:
  Host(AccessType type, ChannelLimits limits, std::int64_t size, bool is_stream = false)
      : state(StartChannel(type, limits, size, is_stream)),
        file_size_(size),
        stream_left_(is_stream ? size : 0) {}

  std::int64_t Read(std::int64_t size, std::int64_t offset = 0) {
    const Decision decision = DecideRead(state, size, offset);
    std::int64_t moved = 0;
    switch (decision.step) {
      case Step::kDone:
        return decision.result;
      case Step::kProbe:
        moved = std::min<std::int64_t>(1, stream_left_);
        break;
      case Step::kTransfer:
        moved = state.is_stream ? stream_left_
                                : std::max<std::int64_t>(0, file_size_ - decision.offset);
        moved = std::min(moved, decision.bytes);
        break;
    }
    if (state.is_stream) stream_left_ -= moved;
    last_offset = decision.offset;
    return CompleteRead(state, decision, moved);
  }

  std::int64_t Write(std::int64_t size, std::int64_t offset = 0) {
    const Decision decision = DecideWrite(state, size, offset);
    if (decision.step == Step::kDone) return decision.result;
    last_offset = decision.offset;
    file_size_ = std::max(file_size_, decision.offset + decision.bytes);
    return CompleteWrite(state, decision, decision.bytes);
  }

  void TruncateBehindTheSession(std::int64_t size) { file_size_ = size; }

  ChannelState state;
  std::int64_t last_offset = -1;

 private:
  std::int64_t file_size_;
  std::int64_t stream_left_;
};

enum class Op { kRead, kWrite };
struct Call {
  Op op;
  std::int64_t size;
  std::int64_t offset;
  std::int64_t result;
};
struct Scenario {
  const char* name;
  AccessType type;
  ChannelLimits limits;
  std::int64_t size;
  bool is_stream;
  std::vector<Call> calls;
};
std::ostream& operator<<(std::ostream& out, const Scenario& scenario) {
  return out << scenario.name;
}

constexpr Op R = Op::kRead;
constexpr Op W = Op::kWrite;

const Scenario kScenarios[] = {
    // Sequential, read only: the offset never matters; 28 of the 32 bytes left, so 30 gives 28.
    {"SequentialReadOnly",
     kSeqSeq,
     {32, 32, 0, 0},
     100,
     false,
     {{R, 0, 0, 0},
      {R, 0, 1, 0},
      {R, 1, 0, 1},
      {R, 1, 99, 1},
      {R, 1, -1, 1},
      {R, 1, kMax, 1},
      {R, -1, 0, kFault},
      {R, kMin, 0, kFault},
      {W, 0, 0, 0},
      {W, 1, 0, kBadHandle},
      {W, 1, -1, kBadHandle},
      {R, 30, 0, 28},
      {R, 1, 0, kOverQuota},
      {R, 0, 0, 0}}},
    {"SequentialReadOnlyStream",
     kSeqSeq,
     {32, 32, 0, 0},
     100,
     true,
     {{R, 0, -1, 0},
      {R, 4, -1, 4},
      {R, -1, 0, kFault},
      {R, 30, 0, 28},
      {R, 1, 0, kOverQuota},
      {R, 1, 0, kOverQuota},
      {W, 1, 0, kBadHandle}}},
    {"RandomReadOnly",
     kRanSeq,
     {32, 32, 0, 0},
     100,
     false,
     {{R, 1, 99, 1},
      {R, 1, 100, 0},
      {R, 1, 101, 0},
      {R, 5, 4294967300, 0},
      {R, 1, kMax, 0},
      {R, kMax, kMax, 0},
      {R, 1, -1, kInvalid},
      {R, 1, kMin, kInvalid},
      {R, 0, -1, kInvalid},
      {R, -1, -1, kFault},
      {R, 5, 99, 1},
      {W, 1, 0, kBadHandle},
      {R, 31, 0, 30},
      {R, 1, 0, kOverQuota},
      {R, 1, 100, 0}}},
    {"SequentialWriteOnly",
     kRanSeq,
     {0, 0, 32, 32},
     0,
     false,
     {{W, 1, 0, 1},
      {W, 1, -1, 1},
      {W, 1, kMax, 1},
      {W, 1, kMin, 1},
      {W, -1, 0, kFault},
      {W, 0, 0, 0},
      {R, 0, 0, 0},
      {R, 1, 0, kBadHandle},
      {W, 30, 0, 28},
      {W, 1, 0, kOverQuota},
      {W, 0, 0, 0}}},
    {"RandomWriteOnly",
     kSeqRan,
     {0, 0, 32, 32},
     0,
     false,
     {{W, 1, -1, kInvalid},
      {W, 1, 32, kInvalid},
      {W, 1, kMax, kInvalid},
      {W, 1, 31, 1},
      {R, 1, 0, kBadHandle},
      {W, 1, 5, 1},
      {W, 31, 0, 30},
      {W, 1, 0, kOverQuota},
      {W, 1, 32, kInvalid}}},
    {"RandomWriteIsCutAtTheLongestLength",
     kRanRan,
     {0, 0, kMany, 32},
     0,
     false,
     {{W, 10, 30, 2}, {W, 10, 0, 10}, {W, kMax, 1, 20}, {W, 1, 1, kOverQuota}}},
    {"RandomReadWriteOverOldContent",
     kRanRan,
     {kMany, kMany, kMany, 10},
     100,
     false,
     {{R, 10, 95, 5},
      {R, 10, 100, 0},
      {W, 4, 104, 4},
      {R, 10, 100, 8},
      {W, 4, 0, 4},
      {W, 1, 110, kInvalid},
      {W, 5, 0, 2},
      {W, 5, 0, kOverQuota},
      {R, 1, 108, 0},
      {R, 1, -1, kInvalid}}},
    {"AppenderKeepsOldContent",
     kRanSeq,
     {kMany, kMany, 3, 10},
     7,
     false,
     {{R, 10, 0, 7},
      {R, 1, 7, 0},
      {W, 3, 0, 3},
      {R, 3, 7, 3},
      {W, 3, kMax, 3},
      {R, 99, 0, 13},
      {W, 1, 0, 1},
      {W, 1, 0, kOverQuota},
      {R, 99, 13, 1},
      {R, 1, 14, 0}}},
    // The traps of the old rules.
    {"EndOfFileNeedsNoQuotaSequential",
     kSeqSeq,
     {9, 10, 0, 0},
     10,
     false,
     {{R, 10, 0, 10}, {R, 1, 0, 0}}},
    {"EndOfFileNeedsNoQuotaRandom",
     kRanSeq,
     {9, 10, 0, 0},
     10,
     false,
     {{R, 64, 0, 10}, {R, 64, 10, 0}}},
    {"EndOfFileNeedsNoQuotaStream",
     kSeqSeq,
     {9, 10, 0, 0},
     10,
     true,
     {{R, 64, 0, 10}, {R, 1, 0, 0}, {R, 1, 0, 0}}},
    {"EndOfFileNeedsNoGet", kSeqSeq, {1, 64, 0, 0}, 10, false, {{R, 64, 0, 10}, {R, 64, 0, 0}}},
    {"EndOfStreamNeedsNoGet", kSeqSeq, {1, 64, 0, 0}, 10, true, {{R, 10, 0, 10}, {R, 64, 0, 0}}},
    {"OneByteBeyondTheQuotaIsRefused",
     kSeqSeq,
     {9, 10, 0, 0},
     11,
     true,
     {{R, 64, 0, 10}, {R, 1, 0, kOverQuota}, {R, 1, 0, kOverQuota}}},
    {"EmptyFileIsAtItsEnd", kSeqSeq, {1, 1, 0, 0}, 0, false, {{R, 1, 0, 0}, {R, 1, 0, 0}}},
    {"EmptyStreamIsAtItsEnd", kSeqSeq, {1, 1, 0, 0}, 0, true, {{R, 1, 0, 0}, {R, 1, 0, 0}}},
    {"OperationsRunOutOnReads",
     kSeqSeq,
     {2, kMany, 0, 0},
     100,
     false,
     {{R, 1, 0, 1}, {R, 1, 0, 1}, {R, 1, 0, kOverQuota}}},
    {"OperationsRunOutOnWrites",
     kSeqSeq,
     {0, 0, 2, kMany},
     0,
     false,
     {{W, 1, 0, 1}, {W, 1, 0, 1}, {W, 1, 0, kOverQuota}}},
    {"StreamIgnoresOffsetsOfRandomTypes",
     kRanRan,
     {0, 0, 9, 100},
     0,
     true,
     {{W, 1, -1, 1}, {W, 1, kMax, 1}, {W, 1, kMin, 1}}},
    {"UnlimitedLimitsDoNotOverflow",
     kRanRan,
     {kMax, kMax, kMax, kMax},
     kMax,
     false,
     {{R, kMax, 0, kMax}, {R, 1, 0, kOverQuota}, {W, kMax, kMax, kInvalid}, {W, 1, kMax - 1, 1}}},
};

class ChannelRulesTable : public testing::TestWithParam<Scenario> {};

TEST_P(ChannelRulesTable, EachCallAnswersAsListed) {
  const Scenario& scenario = GetParam();
  Host host(scenario.type, scenario.limits, scenario.size, scenario.is_stream);
  for (std::size_t i = 0; i < scenario.calls.size(); ++i) {
    const Call& call = scenario.calls[i];
    const std::int64_t result = call.op == Op::kRead ? host.Read(call.size, call.offset)
                                                     : host.Write(call.size, call.offset);
    EXPECT_EQ(result, call.result) << "call " << i << ": " << (call.op == R ? "read " : "write ")
                                   << call.size << " at " << call.offset;
  }
}

INSTANTIATE_TEST_SUITE_P(Scenarios, ChannelRulesTable, testing::ValuesIn(kScenarios),
                         [](const auto& scenario) { return std::string(scenario.param.name); });

TEST(ChannelRules, CountsGoodCallsAndTheirBytes) {
  Host host(kRanRan, {kMany, kMany, kMany, kMany}, 10);
  host.Read(4, 0);
  host.Read(10, 8);
  host.Read(1, 10);  // the end: free
  host.Read(1, -1);  // an error: free
  host.Write(3, 20);
  EXPECT_EQ(host.state.gets, 2);
  EXPECT_EQ(host.state.get_bytes, 6);
  EXPECT_EQ(host.state.puts, 1);
  EXPECT_EQ(host.state.put_bytes, 3);
  EXPECT_EQ(host.state.size, 23);
}

TEST(ChannelRules, MarksALimitOnlyWhenItWithheldSomething) {
  Host exact(kSeqSeq, {1, 10, 1, 10}, 10);
  EXPECT_EQ(exact.Read(64), 10);
  EXPECT_EQ(exact.Read(64), 0);
  EXPECT_FALSE(exact.state.hit_get_limit);
  Host cut(kSeqSeq, {9, 10, 0, 0}, 11);
  EXPECT_EQ(cut.Read(64), 10);
  EXPECT_TRUE(cut.state.hit_get_limit);
  Host written(kSeqSeq, {0, 0, 9, 10}, 0);
  EXPECT_EQ(written.Write(10), 10);
  EXPECT_FALSE(written.state.hit_put_limit);
  EXPECT_EQ(written.Write(1), kOverQuota);
  EXPECT_TRUE(written.state.hit_put_limit);
  EXPECT_FALSE(written.state.hit_get_limit);
}

TEST(ChannelRules, ReadOfAStreamThatTheLimitCutCountsUntilTheEndIsSeen) {
  const auto stream = [](std::int64_t length) {
    return Host(kSeqSeq, {9, 10, 0, 0}, length, true);
  };
  Host unknown = stream(100);  // and nobody asks for more
  EXPECT_EQ(unknown.Read(64), 10);
  EXPECT_TRUE(unknown.state.hit_get_limit);
  Host exact = stream(10);
  EXPECT_EQ(exact.Read(64), 10);
  EXPECT_EQ(exact.Read(64), 0);
  EXPECT_FALSE(exact.state.hit_get_limit);
  Host shorter = stream(9);
  EXPECT_EQ(shorter.Read(64), 9);
  EXPECT_FALSE(shorter.state.hit_get_limit);
  Host content = stream(100);
  EXPECT_EQ(content.Read(10), 10);
  EXPECT_FALSE(content.state.hit_get_limit);
}

TEST(ChannelRules, StreamIsNotReadBeyondTheByteThatShowsThereIsMore) {
  Host host(kSeqSeq, {9, 10, 0, 0}, 100, true);
  EXPECT_EQ(host.Read(10), 10);
  EXPECT_EQ(DecideRead(host.state, 1, 0).step, Step::kProbe);
  EXPECT_EQ(host.Read(1), kOverQuota);
  EXPECT_EQ(DecideRead(host.state, 1, 0).step, Step::kDone);
  EXPECT_EQ(host.state.get_bytes, 10);
}

TEST(ChannelRules, SequentialPositionsAdvanceApart) {
  Host host(kSeqSeq, {kMany, kMany, kMany, kMany}, 100);
  host.Read(7);
  host.Write(5);
  EXPECT_EQ(host.last_offset, 100);  // a readable sequential writer appends
  host.Read(1);
  EXPECT_EQ(host.last_offset, 7);
  host.Write(1);
  EXPECT_EQ(host.last_offset, 105);
}

TEST(ChannelRules, FileThatBecameShorterIsAtItsEnd) {
  Host host(kSeqSeq, {kMany, kMany, 0, 0}, 100);
  host.TruncateBehindTheSession(4);
  EXPECT_EQ(host.Read(64), 4);
  host.TruncateBehindTheSession(100);
  EXPECT_EQ(host.Read(64), 0);
  EXPECT_TRUE(host.state.is_at_end);
}

TEST(ChannelRules, SparseWritesCannotGrowAFileBeyondItsLimit) {
  Host host(kRanRan, {kMany, kMany, kMax, 1000}, 50);
  for (std::int64_t offset = 0; offset < 5000; offset += 3) host.Write(1, offset);
  EXPECT_LE(host.state.size, 1050);
}

TEST(ChannelRules, VisibleSizeIsZeroForSequentialChannelsAndStreams) {
  EXPECT_EQ(VisibleSize(StartChannel(kSeqSeq, {1, 1, 0, 0}, 9, false)), 0);
  EXPECT_EQ(VisibleSize(StartChannel(kRanSeq, {1, 1, 0, 0}, 9, false)), 9);
  EXPECT_EQ(VisibleSize(StartChannel(kRanRan, {1, 1, 0, 0}, 9, true)), 0);
}

TEST(ChannelRules, BufferIsCheckedBetweenArgumentsAndLimits) {
  // What the gate relies on: nothing but the arguments decides before the buffer is looked at.
  const ChannelState state = StartChannel(kRanRan, {1, 1, 1, 1}, 0, false);
  EXPECT_FALSE(CheckReadArguments(state, 1, 0).is_done);
  EXPECT_TRUE(CheckReadArguments(state, 0, 0).is_done);
  EXPECT_EQ(CheckReadArguments(state, -1, 0).result, kFault);
  EXPECT_EQ(CheckWriteArguments(state, 1, -1).result, kInvalid);
}

// Every rule is also a constant expression: no undefined arithmetic at the corners.
constexpr bool CornersAreDefined() {
  constexpr std::int64_t kCorners[] = {kMin, kMin + 1, -1, 0, 1, 2, kMax - 1, kMax};
  for (const AccessType type : {kSeqSeq, kRanSeq, kSeqRan, kRanRan}) {
    for (const std::int64_t limit : kCorners) {
      for (const std::int64_t file_size : kCorners) {
        for (const bool is_stream : {false, true}) {
          ChannelState state =
              StartChannel(type, {limit, limit, limit, limit}, file_size, is_stream);
          for (const std::int64_t size : kCorners) {
            for (const std::int64_t offset : kCorners) {
              const Decision read = DecideRead(state, size, offset);
              CompleteRead(state, read, read.bytes);
              const Decision write = DecideWrite(state, size, offset);
              CompleteWrite(state, write, write.bytes);
              if (state.size < 0 || state.get_position < 0 || state.put_position < 0) return false;
            }
          }
        }
      }
    }
  }
  return true;
}

TEST(ChannelRules, CornersOfEveryArgumentStayInRange) { EXPECT_TRUE(CornersAreDefined()); }

constexpr bool OneCornerAtCompileTime() {
  ChannelState state = StartChannel(kRanRan, {kMax, kMax, kMax, kMax}, kMax, false);
  const Decision read = DecideRead(state, kMax, 1);
  CompleteRead(state, read, kMax);
  const Decision write = DecideWrite(state, kMax, 1);
  CompleteWrite(state, write, kMax);
  return state.get_bytes == kMax - 1 && state.put_bytes == kMax - 1 && state.size == kMax;
}
static_assert(OneCornerAtCompileTime());

TEST(ChannelRules, CountersNeverPassTheirLimits) {
  std::mt19937_64 random(20130611);
  const auto pick = [&random](std::int64_t low, std::int64_t high) {
    return std::uniform_int_distribution<std::int64_t>(low, high)(random);
  };
  for (int round = 0; round < 4000; ++round) {
    const ChannelLimits limits{pick(-2, 20), pick(-2, 200), pick(-2, 20), pick(-2, 200)};
    const std::int64_t start_size = pick(0, 150);
    Host host(static_cast<AccessType>(pick(0, 3)), limits, start_size, pick(0, 1) == 1);
    std::int64_t read = 0;
    std::int64_t written = 0;
    for (int call = 0; call < 60; ++call) {
      const std::int64_t size = pick(-3, 60);
      const std::int64_t offset = pick(0, 9) == 0 ? pick(kMin, kMax) : pick(-5, 400);
      const bool is_read = pick(0, 1) == 0;
      const std::int64_t result = is_read ? host.Read(size, offset) : host.Write(size, offset);
      ASSERT_LE(result, std::max<std::int64_t>(size, 0));
      ASSERT_TRUE(result >= 0 || result == kBadHandle || result == kFault || result == kInvalid ||
                  result == kOverQuota)
          << result;
      (is_read ? read : written) += std::max<std::int64_t>(result, 0);
      const ChannelState& state = host.state;
      ASSERT_LE(state.gets, state.limits.gets);
      ASSERT_LE(state.get_bytes, state.limits.get_size);
      ASSERT_LE(state.puts, state.limits.puts);
      ASSERT_LE(state.put_bytes, state.limits.put_size);
      ASSERT_EQ(state.get_bytes, read);
      ASSERT_EQ(state.put_bytes, written);
      ASSERT_LE(state.size, state.max_size);
      ASSERT_TRUE(state.is_stream || state.size >= start_size);
    }
  }
}

}  // namespace
}  // namespace zerocloud::channels
