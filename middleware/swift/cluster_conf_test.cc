#include "middleware/swift/cluster_conf.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace zerocloud::swift {
namespace {

using ::testing::HasSubstr;

TEST(ClusterConf, ReadsWhatConfigParserReads) {
  const ClusterConf conf =
      ParseClusterConf(
          "# Swift\n[swift-hash]\n; both\nSwift_Hash_Path_Prefix: pre = fix\n"
          "swift_hash_path_suffix=100%%\xe4\r\n\n[storage-policy:1]\n"
          "policy_type = erasure_coding\n[swift-constraints]\nmax = 1\n"
          "[storage-policy:0]\nname = Gold\naliases = dear, old GOLD ,\ndefault = yes\n"
          "[storage-policy:12]\npolicy_type = replication\n")
          .value();
  EXPECT_EQ(conf.affixes.prefix, "pre = fix");
  EXPECT_EQ(conf.affixes.suffix, "100%\xe4");
  const std::vector<StoragePolicy> expected = {
      {0, true, {"gold", "dear", "old gold"}}, {1, false, {}}, {12, true, {}}};
  EXPECT_EQ(conf.policies, expected);
  EXPECT_EQ(conf.policies[0].RingName(), "object.ring.gz");
  EXPECT_EQ(conf.policies[2].RingName(), "object-12.ring.gz");
}

TEST(ClusterConf, HasAPolicyZeroWhereNoneIsNamed) {
  const ClusterConf conf = ParseClusterConf("[swift-hash]\nswift_hash_path_suffix = s\n").value();
  EXPECT_EQ(conf.policies, (std::vector<StoragePolicy>{{0, true, {"policy-0"}}}));
  EXPECT_EQ(conf.affixes.prefix, "");
}

TEST(ClusterConf, TakesDefaultsAndContinuedLines) {
  const ClusterConf conf = ParseClusterConf(
                               "[DEFAULT]\nswift_hash_path_suffix = d\n[swift-hash]\n"
                               "swift_hash_path_prefix = a\n   b\n")
                               .value();
  EXPECT_EQ(conf.affixes.suffix, "d");
  EXPECT_EQ(conf.affixes.prefix, "a\nb");
}

TEST(ClusterConf, SaysWhatIsWrong) {
  const std::pair<const char*, const char*> cases[] = {
      {"", "neither"},
      {"[swift-hash]\n", "neither"},
      {"key = before\n", "line 1"},
      {"[swift-hash]\nnonsense\n", "line 2"},
      {"[swift-hash]\n= x\n", "line 2"},
      {"[swift-hash\n", "line 1"},
      {"[]\n", "line 1"},
      {"[a]\n[a]\n", "line 2"},
      {"[swift-hash]\nswift_hash_path_suffix=a\nswift_hash_path_suffix=b\n", "line 3"},
      {"[swift-hash]\nswift_hash_path_suffix=%(x)s\n", "single %"},
      {"[swift-hash]\nswift_hash_path_suffix=a\n[storage-policy:x]\n", "storage-policy:x"},
      {"[swift-hash]\nswift_hash_path_suffix=a\n[storage-policy:1]\n[storage-policy:01]\n",
       "same number"},
  };
  for (const auto& [text, sentence] : cases) {
    const auto parsed = ParseClusterConf(text);
    ASSERT_FALSE(parsed.has_value()) << text;
    EXPECT_THAT(parsed.error().message, HasSubstr(sentence)) << text;
  }
  EXPECT_EQ(ParseClusterConf(std::string(kMaxConfBytes + 1, '#')).error().code,
            ErrorCode::kLimitExceeded);
}

}  // namespace
}  // namespace zerocloud::swift
