#include "middleware/peer/frame.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <iterator>
#include <set>

namespace zerocloud::peer {
namespace {

using testing::HasSubstr;

TEST(Frames, ArriveAsSentHoweverTheyAreCut) {
  const std::string sent = EncodeFrame(FrameKind::kHello, R"({"version":1})") +
                           EncodeFrame(FrameKind::kData, DataPayload(70'000, "bytes")) +
                           EncodeFrame(FrameKind::kHeartbeat, "");
  for (std::size_t step = 1; step <= sent.size(); ++step) {
    FrameReader reader;
    std::vector<Frame> seen;
    for (std::size_t at = 0; at < sent.size(); at += step) {
      reader.Feed(std::string_view(sent).substr(at, step));
      while (true) {
        const auto frame = reader.Next();
        ASSERT_TRUE(frame.has_value());
        const std::optional<Frame>& found = *frame;
        if (!found) break;
        seen.push_back(*found);
      }
    }
    ASSERT_EQ(seen.size(), 3U) << "cut every " << step;
    EXPECT_EQ(seen[0].payload, R"({"version":1})");
    const auto data = ReadData(seen[1].payload);
    ASSERT_TRUE(data.has_value());
    EXPECT_EQ(data->channel, 70'000U);
    EXPECT_EQ(data->bytes, "bytes");
    EXPECT_EQ(seen[2].kind, FrameKind::kHeartbeat);
    EXPECT_FALSE(reader.is_inside());
  }
}

Error Refused(const std::string& bytes) {
  FrameReader reader;
  reader.Feed(bytes);
  const auto frame = reader.Next();
  EXPECT_FALSE(frame.has_value());
  return frame ? Error{} : frame.error();
}

TEST(Frames, OfAnotherVersionAreRefusedByTheirFirstByte) {
  EXPECT_THAT(Refused(std::string(1, '\x01')).message, HasSubstr("version 1"));
}

TEST(Frames, OfAnUnknownKindAreRefused) {
  std::string frame = EncodeFrame(FrameKind::kHello, "");
  frame[1] = 99;
  EXPECT_THAT(Refused(frame).message, HasSubstr("kind 99"));
  frame = EncodeFrame(FrameKind::kHello, "");
  frame[2] = 1;
  EXPECT_EQ(Refused(frame).code, ErrorCode::kInvalid);
}

TEST(Frames, ThatPromiseTooMuchAreRefusedBeforeTheyArrive) {
  std::string frame = EncodeFrame(FrameKind::kReport, "");
  frame[4] = '\x7f';
  EXPECT_EQ(Refused(frame).code, ErrorCode::kLimitExceeded);
  frame = EncodeFrame(FrameKind::kData, "");
  frame[5] = 3;  // 196,608: allowed for JSON
  EXPECT_EQ(Refused(frame).code, ErrorCode::kLimitExceeded);
}

TEST(Frames, WithNothingToSayHaveNoPayload) {
  for (const FrameKind kind : {FrameKind::kStarted, FrameKind::kHeartbeat, FrameKind::kKeep,
                               FrameKind::kReady, FrameKind::kGo}) {
    FrameReader reader;
    reader.Feed(EncodeFrame(kind, ""));
    EXPECT_TRUE(reader.Next().has_value()) << ToString(kind);
    EXPECT_THAT(Refused(EncodeFrame(kind, "{}")).message, HasSubstr("2 bytes; at most 0"));
  }
}

TEST(Frames, WithLittleToSayAreShort) {
  for (const FrameKind kind : {FrameKind::kHello, FrameKind::kAccepted, FrameKind::kDigest,
                               FrameKind::kFetch, FrameKind::kStream, FrameKind::kCredit}) {
    const std::string much(kMaxShortBytes + 1, ' ');
    EXPECT_EQ(Refused(EncodeFrame(kind, much)).code, ErrorCode::kLimitExceeded) << ToString(kind);
  }
}

TEST(Frames, WithoutAChannelOrBytesAreNoData) {
  EXPECT_FALSE(ReadData("abc").has_value());
  EXPECT_FALSE(ReadData(DataPayload(7, "")).has_value());
  EXPECT_TRUE(ReadData(DataPayload(7, "x")).has_value());
}

TEST(Frames, HaveNamesOfTheirOwn) {
  std::set<std::string_view> names;
  for (const FrameKind kind : FrameKinds()) names.insert(ToString(kind));
  EXPECT_EQ(names.size(), FrameKinds().size());
  EXPECT_FALSE(names.contains("unknown"));
}

TEST(Frames, AreThoseOfTheProtocolsPage) {
  std::ifstream file(ZEROCLOUD_PROTOCOL_PAGE);
  const std::string page((std::istreambuf_iterator<char>(file)), {});
  std::size_t rows = 0;
  for (std::size_t at = page.find("` | "); at != std::string::npos;
       at = page.find("` | ", at + 1)) {
    const std::string row = page.substr(page.rfind('\n', at) + 1, at - page.rfind('\n', at));
    if (row.starts_with("| ")) ++rows;
  }
  EXPECT_EQ(rows, FrameKinds().size());
  for (const FrameKind kind : FrameKinds()) {
    const std::string row =
        fmt::format("\n| {} | `{}` | ", static_cast<unsigned>(kind), ToString(kind));
    EXPECT_NE(page.find(row), std::string::npos) << row;
  }
  EXPECT_NE(page.find(fmt::format("version of the protocol: {} |", kProtocolVersion)),
            std::string::npos);
  EXPECT_NE(page.find(fmt::format("{} MiB, or {} KiB for `data`", kMaxJsonBytes >> 20U,
                                  kMaxDataBytes >> 10U)),
            std::string::npos);
  EXPECT_NE(page.find(fmt::format("{} KiB for those that say little", kMaxShortBytes >> 10U)),
            std::string::npos);
}

}  // namespace
}  // namespace zerocloud::peer
