#include "middleware/http/range.h"

#include <gtest/gtest.h>

#include <string>

namespace zerocloud::http {
namespace {

using Kind = RangeRequest::Kind;

TEST(Range, SingleRangesAreCutToTheSize) {
  EXPECT_EQ(ParseRange("bytes=0-4", 10).ranges, (std::vector<ByteRange>{{0, 5}}));
  EXPECT_EQ(ParseRange("bytes=5-", 10).ranges, (std::vector<ByteRange>{{5, 5}}));
  EXPECT_EQ(ParseRange("bytes=-3", 10).ranges, (std::vector<ByteRange>{{7, 3}}));
  EXPECT_EQ(ParseRange("bytes=-30", 10).ranges, (std::vector<ByteRange>{{0, 10}}));
  EXPECT_EQ(ParseRange("bytes=8-100", 10).ranges, (std::vector<ByteRange>{{8, 2}}));
}

TEST(Range, SeveralRangesKeepTheirOrderAndLoseTheUnsatisfiable) {
  const auto request = ParseRange("bytes=5-6, 0-0,99-", 10);
  EXPECT_EQ(request.kind, Kind::kPartial);
  EXPECT_EQ(request.ranges, (std::vector<ByteRange>{{5, 2}, {0, 1}}));
}

TEST(Range, BeyondTheEndIsUnsatisfiable) {
  EXPECT_EQ(ParseRange("bytes=10-", 10).kind, Kind::kUnsatisfiable);
  EXPECT_EQ(ParseRange("bytes=-0", 10).kind, Kind::kUnsatisfiable);
  EXPECT_EQ(ParseRange("bytes=0-", 0).kind, Kind::kUnsatisfiable);
  EXPECT_EQ(ParseRange("bytes=-5", 0).kind, Kind::kWhole);
}

TEST(Range, SyntaxErrorsCountAsAbsent) {
  for (const char* bad : {"", "bytes=", "bytes=a-b", "bytes=5-4", "bytes=-", "lines=0-1", "bytes=1",
                          "bytes=0-1,", "bytes=99999999999999999999-", "bytes 0-1"}) {
    EXPECT_EQ(ParseRange(bad, 10).kind, Kind::kWhole) << bad;
  }
}

TEST(Range, TooManyOrOverlappingRangesAreRefused) {
  std::string many = "bytes=0-0";
  for (int i = 1; i < 51; ++i) {
    many += ',';
    many += std::to_string(2 * i);
    many += '-';
    many += std::to_string(2 * i);
  }
  EXPECT_EQ(ParseRange(many, 1000).kind, Kind::kUnsatisfiable);
  EXPECT_EQ(ParseRange("bytes=0-,0-,0-,0-", 10).kind, Kind::kUnsatisfiable);
  EXPECT_EQ(ParseRange("bytes=0-,0-,0-", 10).kind, Kind::kPartial);
}

}  // namespace
}  // namespace zerocloud::http
