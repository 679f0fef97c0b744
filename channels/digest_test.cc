#include "channels/digest.h"

#include <gtest/gtest.h>

#include <string>
#include <string_view>

namespace zerocloud::channels {
namespace {

std::string Hex(Digest& digest) {
  char hex[kMaxDigestHexSize];
  const std::size_t size = DigestFinalHex(digest, hex);
  return {hex, size};
}

std::string HexOf(std::string_view text, DigestKind kind = DigestKind::kSha1) {
  Digest digest;
  DigestInit(digest, kind);
  DigestUpdate(digest, text.data(), text.size());
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

// FIPS 180-4 and RFC 1321.
TEST(Digest, GivesThePublishedValuesOfTheOtherKinds) {
  EXPECT_EQ(HexOf("abc", DigestKind::kSha256),
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  EXPECT_EQ(HexOf("message digest", DigestKind::kMd5), "f96b697d7cb7938d525a2f31aaf161d0");
}

TEST(Digest, DoesNotDependOnHowTheBytesAreCut) {
  const std::string text(1000, 'z');
  for (const DigestKind kind : {DigestKind::kSha1, DigestKind::kSha256, DigestKind::kMd5}) {
    for (const std::size_t step : {1U, 3U, 63U, 64U, 65U, 999U}) {
      Digest digest;
      DigestInit(digest, kind);
      for (std::size_t at = 0; at < text.size(); at += step) {
        const std::string_view piece = std::string_view(text).substr(at, step);
        DigestUpdate(digest, piece.data(), piece.size());
        DigestUpdate(digest, nullptr, 0);
      }
      EXPECT_EQ(Hex(digest), HexOf(text, kind)) << "in steps of " << step;
    }
  }
}

}  // namespace
}  // namespace zerocloud::channels
