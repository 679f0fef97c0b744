#include "middleware/digest/digest.h"

#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

#include "channels/base/unique_fd.h"

namespace zerocloud::digest {
namespace {

// RFC 1321 A.5 and FIPS 180-2 B.1.
constexpr std::string_view kMd5OfAbc = "900150983cd24fb0d6963f7d28e17f72";
constexpr std::string_view kSha256OfAbc =
    "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

TEST(Digest, IsThatOfAllPiecesAndThenBeginsAnew) {
  Digest md5(Algorithm::kMd5);
  Digest sha256(Algorithm::kSha256);
  for (int i = 0; i < 2; ++i) {
    for (const std::string_view piece : {"a", "", "bc"}) {
      md5.Add(piece);
      sha256.Add(piece);
    }
    EXPECT_EQ(md5.Hex(), kMd5OfAbc);
    EXPECT_EQ(sha256.Hex(), kSha256OfAbc);
  }
  md5.Add("forgotten");
  md5.Restart();
  md5.Add("abc");
  EXPECT_EQ(md5.Hex(), kMd5OfAbc);
}

TEST(Digest, OfAFileIsOfItsFirstBytesAndNoneOfOneThatIsTooShort) {
  const UniqueFd file(::memfd_create("digest", MFD_CLOEXEC));
  ASSERT_EQ(::write(file.get(), "abcdef", 6), 6);
  EXPECT_EQ(Md5OfFile(file.get(), 3), kMd5OfAbc);
  EXPECT_EQ(Md5OfFile(file.get(), 0), "d41d8cd98f00b204e9800998ecf8427e");
  const Result<std::string> of_more = Md5OfFile(file.get(), 7);
  ASSERT_FALSE(of_more.has_value());
  EXPECT_EQ(of_more.error().code, ErrorCode::kInternal);
}

}  // namespace
}  // namespace zerocloud::digest
