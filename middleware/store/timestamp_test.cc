#include "middleware/store/timestamp.h"

#include <gtest/gtest.h>

namespace zerocloud::store {
namespace {

TEST(Timestamp, IsReadAsItIsWritten) {
  for (const std::int64_t ticks : {0LL, 1LL, 170'000'000'012'345LL, 179'540'823'028'699LL,
                                   95'178'239'999'999LL, 951'782'400'00000LL}) {
    const Timestamp time{ticks};
    EXPECT_EQ(Timestamp::Parse(time.ToString()), time) << time.ToString();
    EXPECT_EQ(Timestamp::ParseIso(time.ToIso()), time) << time.ToIso();
  }
  EXPECT_EQ(Timestamp::ParseIso("2023-11-14T22:13:20.123456"), Timestamp{170'000'000'012'345});
}

TEST(Timestamp, NothingElseIsOne) {
  for (const char* text :
       {"", "1700000000", "1700000000.1234", "1700000000.123456", "170000000.123456",
        "+700000000.12345", "1700000000,12345", "1700000000.1234x", " 700000000.12345"}) {
    EXPECT_FALSE(Timestamp::Parse(text).has_value()) << text;
  }
  for (const char* text :
       {"", "2023-11-14 22:13:20.123450", "2023-11-14T22:13:20.12345", "2023-02-29T22:13:20.123450",
        "2023-13-01T22:13:20.123450", "2023-11-14T24:13:20.123450", "2023-11-14T22:60:20.123450",
        "2023-11-14T22:13:60.123450", "1969-11-14T22:13:20.123450", "x023-11-14T22:13:20.123450"}) {
    EXPECT_FALSE(Timestamp::ParseIso(text).has_value()) << text;
  }
}

}  // namespace
}  // namespace zerocloud::store
