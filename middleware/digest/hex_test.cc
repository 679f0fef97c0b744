#include "middleware/digest/hex.h"

#include <gtest/gtest.h>

namespace zerocloud::digest {
namespace {

TEST(Hex, EveryByteComesBack) {
  std::string all;
  for (int byte = 0; byte < 256; ++byte) all.push_back(static_cast<char>(byte));
  EXPECT_TRUE(ToHex(all).starts_with("000102") && ToHex(all).ends_with("fdfeff"));
  EXPECT_EQ(FromHex(ToHex(all)), all);
  EXPECT_EQ(FromHex("aBcD"), "\xab\xcd");
  EXPECT_EQ(FromHex(""), "");
}

TEST(Hex, NothingElseIsTaken) {
  for (const char* bad : {"0", "abc", "0g", "g0", " 0", "0x", "-1", "0/", "0:", "0@", "0`"}) {
    EXPECT_EQ(FromHex(bad), std::nullopt) << bad;
  }
}

}  // namespace
}  // namespace zerocloud::digest
