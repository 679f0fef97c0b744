#include "middleware/http/conditional.h"

#include <gtest/gtest.h>

namespace zerocloud::http {
namespace {

constexpr std::int64_t kModified = 784111777;  // Sun, 06 Nov 1994 08:49:37 GMT
constexpr const char* kSame = "Sun, 06 Nov 1994 08:49:37 GMT";
constexpr const char* kBefore = "Sun, 06 Nov 1994 08:49:36 GMT";

Precondition With(std::string_view name, std::string_view value) {
  Headers headers;
  headers.Add(name, value);
  return EvaluatePreconditions(headers, "abc", kModified);
}

TEST(Conditional, EtagsMatchWithAndWithoutQuotes) {
  EXPECT_EQ(With("If-Match", "\"abc\""), Precondition::kHolds);
  EXPECT_EQ(With("If-Match", "abc"), Precondition::kHolds);
  EXPECT_EQ(With("If-Match", "\"x\", \"abc\""), Precondition::kHolds);
  EXPECT_EQ(With("If-Match", "*"), Precondition::kHolds);
  EXPECT_EQ(With("If-Match", "\"x\""), Precondition::kFailed);
  EXPECT_EQ(With("If-None-Match", "W/\"abc\""), Precondition::kNotModified);
  EXPECT_EQ(With("If-None-Match", "*"), Precondition::kNotModified);
  EXPECT_EQ(With("If-None-Match", "\"x\""), Precondition::kHolds);
}

TEST(Conditional, DatesCompareInWholeSeconds) {
  EXPECT_EQ(With("If-Modified-Since", kSame), Precondition::kNotModified);
  EXPECT_EQ(With("If-Modified-Since", kBefore), Precondition::kHolds);
  EXPECT_EQ(With("If-Unmodified-Since", kSame), Precondition::kHolds);
  EXPECT_EQ(With("If-Unmodified-Since", kBefore), Precondition::kFailed);
  EXPECT_EQ(With("If-Modified-Since", "garbage"), Precondition::kHolds);
}

TEST(Conditional, IfRangeChoosesBetweenPartAndWhole) {
  Headers headers;
  EXPECT_TRUE(RangeApplies(headers, "abc", kModified));
  headers.Set("If-Range", "\"abc\"");
  EXPECT_TRUE(RangeApplies(headers, "abc", kModified));
  headers.Set("If-Range", "\"old\"");
  EXPECT_FALSE(RangeApplies(headers, "abc", kModified));
  headers.Set("If-Range", kBefore);
  EXPECT_FALSE(RangeApplies(headers, "abc", kModified));
}

}  // namespace
}  // namespace zerocloud::http
