#include <gtest/gtest.h>

#include "middleware/http/message.h"
#include "middleware/http/reply.h"
#include "middleware/http/text.h"

namespace zerocloud::http {
namespace {

TEST(Headers, NamesCompareWithoutCase) {
  Headers headers;
  headers.Add("Content-Type", "a");
  headers.Add("content-type", "b");
  EXPECT_EQ(headers.Get("CONTENT-TYPE"), "a");
  headers.Set("content-Type", "c");
  EXPECT_EQ(headers.size(), 1U);
  EXPECT_EQ(headers.Get("Content-Type"), "c");
  headers.Remove("CONTENT-type");
  EXPECT_FALSE(headers.Has("Content-Type"));
}

TEST(Headers, KeepTheOrderTheyCameIn) {
  Headers headers;
  headers.Add("B", "1");
  headers.Add("A", "2");
  headers.Add("C", "3");
  headers.Remove("a");
  std::string text;
  for (const auto& [name, value] : headers) text.append(name).append("=").append(value).append(" ");
  EXPECT_EQ(text, "B=1 C=3 ");
}

TEST(Headers, CanBeSetFromThemselves) {
  Headers headers;
  headers.Add("Etag", "old");
  headers.Add("X-Other", "a value that is longer than any text that a string keeps in itself");
  headers.Set("Etag", headers.Get("X-Other").value_or(""));
  EXPECT_EQ(headers.Get("Etag"), headers.Get("X-Other"));
  const Headers copy = headers;
  headers = {};
  EXPECT_EQ(copy.size(), 2U);
  EXPECT_TRUE(copy.Get("Etag").value_or("").starts_with("a value"));
}

TEST(Text, Utf8RefusesWhatRfc3629Refuses) {
  EXPECT_TRUE(IsUtf8(""));
  EXPECT_TRUE(IsUtf8("na\xc3\xafve \xe2\x82\xac \xf0\x9f\x98\x80"));
  EXPECT_TRUE(IsUtf8("\xf4\x8f\xbf\xbf"));
  for (const char* bad : {"\x80", "\xc0\x80", "\xc1\xbf", "\xe0\x9f\xbf", "\xed\xa0\x80",
                          "\xf0\x8f\xbf\xbf", "\xf4\x90\x80\x80", "\xf5\x80\x80\x80", "\xc3",
                          "\xe2\x82", "\xf0\x9f\x98", "\xc3(", "\xff"}) {
    EXPECT_FALSE(IsUtf8(bad)) << testing::PrintToString(bad);
  }
}

TEST(Text, NumbersAreWholeAndUnsigned) {
  EXPECT_EQ(ParseNumber("0"), 0U);
  EXPECT_EQ(ParseNumber("18446744073709551615"), UINT64_MAX);
  for (const char* bad : {"", "-1", "+1", " 1", "1 ", "1.0", "18446744073709551616", "x"}) {
    EXPECT_FALSE(ParseNumber(bad)) << bad;
  }
}

TEST(Reply, EveryErrorCodeHasAStatus) {
  EXPECT_EQ(ErrorResponse({ErrorCode::kLimitExceeded, "too big"}).status, 413);
  EXPECT_EQ(ErrorResponse({ErrorCode::kNotFound, "gone"}).text, "gone\n");
  EXPECT_EQ(ReasonPhrase(507), "Insufficient Storage");
  EXPECT_EQ(ReasonPhrase(299), "Unknown");
}

}  // namespace
}  // namespace zerocloud::http
