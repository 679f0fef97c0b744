#include "middleware/http/date.h"

#include <gtest/gtest.h>

namespace zerocloud::http {
namespace {

TEST(Date, ThreeFormsAreOneInstant) {
  EXPECT_EQ(ParseDate("Sun, 06 Nov 1994 08:49:37 GMT"), 784111777);
  EXPECT_EQ(ParseDate("Sunday, 06-Nov-94 08:49:37 GMT"), 784111777);
  EXPECT_EQ(ParseDate("Sun Nov  6 08:49:37 1994"), 784111777);
}

TEST(Date, WrittenDatesAreReadBack) {
  for (std::int64_t seconds = 0; seconds < 253402300799; seconds += 86400LL * 997 + 12345) {
    EXPECT_EQ(ParseDate(FormatDate(seconds)), seconds) << FormatDate(seconds);
  }
  EXPECT_EQ(FormatDate(784111777), "Sun, 06 Nov 1994 08:49:37 GMT");
}

TEST(Date, NonsenseIsRefused) {
  for (const char* bad : {"", "today", "Sun, 31 Feb 1994 08:49:37 GMT", "1994-11-06T08:49:37Z",
                          "Sun, 06 Nov 1994 25:49:37 GMT", "Sun, 06 Nov 1994 08:49:37 CET",
                          "Sun, 06 Nov 99999 08:49:37 GMT"}) {
    EXPECT_FALSE(ParseDate(bad)) << bad;
  }
}

}  // namespace
}  // namespace zerocloud::http
