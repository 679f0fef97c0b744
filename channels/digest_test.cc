#include "channels/digest.h"

#include <gtest/gtest.h>

#include <string>
#include <string_view>

namespace zerocloud::channels {
namespace {

std::string Hex(Sha1& digest) {
  char hex[kDigestHexSize];
  Sha1FinalHex(digest, hex);
  return {hex, sizeof hex};
}

std::string HexOf(std::string_view text) {
  Sha1 digest;
  Sha1Init(digest);
  Sha1Update(digest, text.data(), text.size());
  return Hex(digest);
}

// FIPS 180-4 examples.
TEST(Digest, GivesThePublishedValues) {
  EXPECT_EQ(HexOf(""), "da39a3ee5e6b4b0d3255bfef95601890afd80709");
  EXPECT_EQ(HexOf("abc"), "a9993e364706816aba3e25717850c26c9cd0d89d");
  EXPECT_EQ(HexOf("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq"),
            "84983e441c3bd26ebaae4aa1f95129e5e54670f1");
  EXPECT_EQ(HexOf(std::string(1000000, 'a')), "34aa973cd4c4daa4f61eeb2bdbad27316534016f");
}

TEST(Digest, DoesNotDependOnHowTheBytesAreCut) {
  const std::string text(1000, 'z');
  for (const std::size_t step : {1U, 3U, 63U, 64U, 65U, 999U}) {
    Sha1 digest;
    Sha1Init(digest);
    for (std::size_t at = 0; at < text.size(); at += step) {
      const std::string_view piece = std::string_view(text).substr(at, step);
      Sha1Update(digest, piece.data(), piece.size());
      Sha1Update(digest, nullptr, 0);
    }
    EXPECT_EQ(Hex(digest), HexOf(text)) << "in steps of " << step;
  }
}

}  // namespace
}  // namespace zerocloud::channels
