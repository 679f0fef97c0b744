#include "middleware/swift/hash_path.h"

#include <gtest/gtest.h>

namespace zerocloud::swift {
namespace {

// The expected values are those of swift.common.utils.hash_path and of a partition computed in
// Python.
TEST(HashPath, IsWhereSwiftKeepsTheObject) {
  const PathHash hash =
      HashPath({"changeme", "changeme"}, {"AUTH_test", "c1", "o/\xC3\xA4"}).value();
  EXPECT_EQ(ToHex(hash), "c04e09893ac7edae1327595122dad772");
  EXPECT_EQ(PartitionOf(hash, 26), 48U);
}

TEST(HashPath, DependsOnPrefixAndSuffix) {
  const store::ObjectPath path{"a", "c", "o"};
  EXPECT_NE(HashPath({"", "x"}, path).value(), HashPath({"x", ""}, path).value());
  EXPECT_NE(HashPath({"", "x"}, path).value(), HashPath({"", "y"}, path).value());
}

TEST(HashPath, PartitionsAreTheTopmostBits) {
  PathHash hash{};
  hash[0] = 0xff;
  hash[1] = 0x81;
  EXPECT_EQ(PartitionOf(hash, 32), 0U);
  EXPECT_EQ(PartitionOf(hash, 24), 0xffU);
  EXPECT_EQ(PartitionOf(hash, 16), 0xff81U);
}

TEST(HashPath, EveryPolicyHasItsDirectory) {
  PathHash hash{};
  hash[15] = 0xab;
  hash[14] = 0x0c;
  EXPECT_EQ(HashDirectory(0, 7, hash),
            "objects/7/cab/0000000000000000000000000000"
            "0cab");
  EXPECT_EQ(HashDirectory(12, 7, hash),
            "objects-12/7/cab/0000000000000000000000000000"
            "0cab");
}

}  // namespace
}  // namespace zerocloud::swift
