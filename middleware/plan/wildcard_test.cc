#include "middleware/plan/wildcard.h"

#include <gtest/gtest.h>

namespace zerocloud::plan {
namespace {

using Stars = std::vector<std::string>;

TEST(Wildcard, IsAnchoredAtBothEnds) {
  EXPECT_TRUE(MatchWildcard("b*.data", "b1.data").has_value());
  EXPECT_FALSE(MatchWildcard("b*.data", "b1.data.bak").has_value());
  EXPECT_FALSE(MatchWildcard("b*.data", "ab1.data").has_value());
  EXPECT_FALSE(MatchWildcard("abc", "abcd").has_value());
  EXPECT_EQ(MatchWildcard("abc", "abc"), Stars{});
}

TEST(Wildcard, TellsWhatEachStarStandsFor) {
  EXPECT_EQ(MatchWildcard("*", ""), (Stars{""}));
  EXPECT_EQ(MatchWildcard("*", "a/b"), (Stars{"a/b"}));
  EXPECT_EQ(MatchWildcard("day-*.csv", "day-7.csv"), (Stars{"7"}));
  EXPECT_EQ(MatchWildcard("*-*", "a-b-c"), (Stars{"a-b", "c"}));
  EXPECT_EQ(MatchWildcard("**", "ab"), (Stars{"ab", ""}));
  EXPECT_EQ(MatchWildcard("a*b*c", "abc"), (Stars{"", ""}));
  EXPECT_EQ(MatchWildcard("a*a", "aa"), (Stars{""}));
}

TEST(Wildcard, DoesNotUseAByteTwice) {
  EXPECT_FALSE(MatchWildcard("a*a", "a").has_value());
  EXPECT_FALSE(MatchWildcard("ab*ba", "aba").has_value());
  EXPECT_FALSE(MatchWildcard("*ab*b", "ab").has_value());
}

TEST(Wildcard, TakesLinearTimeOnHostilePatterns) {
  std::string pattern;
  for (int i = 0; i < 500; ++i) pattern += "*a";
  pattern += "*b";
  EXPECT_FALSE(MatchWildcard(pattern, std::string(1000, 'a')).has_value());
}

TEST(Wildcard, FillsFromLeftToRight) {
  std::size_t next = 0;
  EXPECT_EQ(FillWildcards("x-*", {"1", "2", "3"}, &next), "x-1");
  EXPECT_EQ(FillWildcards("*/*", {"1", "2", "3"}, &next), "2/3");
  EXPECT_EQ(FillWildcards("plain", {"1", "2", "3"}, &next), "plain");
  EXPECT_EQ(FillWildcards("*", {"1", "2", "3"}, &next), std::nullopt);
}

TEST(Wildcard, LiteralPrefixEndsAtTheFirstStar) {
  EXPECT_EQ(LiteralPrefix("a/b*c*"), "a/b");
  EXPECT_EQ(LiteralPrefix("abc"), "abc");
}

}  // namespace
}  // namespace zerocloud::plan
