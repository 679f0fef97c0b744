#include "middleware/http/target.h"

#include <gtest/gtest.h>

namespace zerocloud::http {
namespace {

StoragePath Parsed(std::string_view path) {
  auto result = ParseStoragePath(path);
  EXPECT_TRUE(result.has_value() && result->has_value()) << path;
  return result && *result ? **result : StoragePath{};
}

TEST(Target, PathAndQueryAreCutAtTheFirstQuestionMark) {
  const Target target = ParseTarget("/v1/a?prefix=x%2Fy&format=json&a=b?c&flag");
  EXPECT_EQ(target.path, "/v1/a");
  EXPECT_EQ(target.query.Get("prefix"), "x/y");
  EXPECT_EQ(target.query.Get("a"), "b?c");
  EXPECT_EQ(target.query.Get("flag"), "");
  EXPECT_FALSE(target.query.Has("none"));
}

TEST(Target, AbsoluteFormLosesItsAuthority) {
  EXPECT_EQ(ParseTarget("http://host:80/v1/a?b=c").path, "/v1/a");
  EXPECT_EQ(ParseTarget("http://host").path, "/");
}

TEST(Target, PlusIsASpaceInQueriesOnly) {
  EXPECT_EQ(ParseTarget("/?a=b+c").query.Get("a"), "b c");
  EXPECT_EQ(Parsed("/v1/a/c/b+c").object, "b+c");
}

TEST(Target, ABarePercentStandsForItself) {
  EXPECT_EQ(PercentDecode("100%"), "100%");
  EXPECT_EQ(PercentDecode("%4"), "%4");
  EXPECT_EQ(PercentDecode("%zz%41"), "%zzA");
  EXPECT_EQ(PercentDecode("%41%"), "A%");
}

TEST(Target, EncodingIsUndoneByDecoding) {
  std::string all;
  for (int i = 0; i < 256; ++i) all.push_back(static_cast<char>(i));
  EXPECT_EQ(PercentDecode(PercentEncode(all)), all);
  EXPECT_EQ(PercentEncode("a/b c", false), "a%2Fb%20c");
}

TEST(Target, StoragePathsSplitInThree) {
  EXPECT_EQ(Parsed("/v1/AUTH_a"), (StoragePath{"AUTH_a", "", ""}));
  EXPECT_EQ(Parsed("/v1/AUTH_a/"), (StoragePath{"AUTH_a", "", ""}));
  EXPECT_EQ(Parsed("/v1.0/AUTH_a/c/"), (StoragePath{"AUTH_a", "c", ""}));
  EXPECT_EQ(Parsed("/v1/AUTH_a/c/o"), (StoragePath{"AUTH_a", "c", "o"}));
}

TEST(Target, NothingIsNormalised) {
  EXPECT_EQ(Parsed("/v1/a/c//x").object, "/x");
  EXPECT_EQ(Parsed("/v1/a/c/./../z").object, "./../z");
  EXPECT_EQ(Parsed("/v1/a/c/a%2Fb").object, "a/b");
  EXPECT_EQ(Parsed("/v1/a/c/a/").object, "a/");
  EXPECT_EQ(Parsed("/v1/a/c/%0A%7F").object, "\n\x7f");
}

TEST(Target, NulBadUtf8AndMissingNamesAreRefused) {
  for (const char* bad : {"/v1/a/c/%00", "/v1/a/c/%ff", "/v1", "/v1/", "/v1//c/o", "/v1/a//o"}) {
    const auto result = ParseStoragePath(bad);
    EXPECT_TRUE(result && !*result) << bad;
  }
}

TEST(Target, OtherPathsAreNotStorage) {
  for (const char* other : {"/", "/info", "/v2/a", "/v1x/a", "", "v1/a"}) {
    EXPECT_FALSE(ParseStoragePath(other).has_value()) << other;
  }
}

TEST(Target, CopyNamesNeedAContainerAndAnObject) {
  const auto split = SplitContainerAndObject("/c/o/p", "Destination");
  ASSERT_TRUE(split.has_value());
  EXPECT_EQ(split->container, "c");
  EXPECT_EQ(split->object, "o/p");
  for (const char* bad : {"", "/", "c", "c/", "//o", "/c"}) {
    EXPECT_FALSE(SplitContainerAndObject(bad, "Destination").has_value()) << bad;
  }
}

}  // namespace
}  // namespace zerocloud::http
