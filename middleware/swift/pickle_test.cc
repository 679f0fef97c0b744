#include "middleware/swift/pickle.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "middleware/swift/testing/object_server.h"

namespace zerocloud::swift {
namespace {

using namespace std::string_view_literals;
using ::testing::HasSubstr;

Result<Metadata> Parse(std::string_view pickle) {
  return ParsePickle(std::as_bytes(std::span(pickle)));
}

// pickle.dumps({b"X-Timestamp": b"123.4", b"e": b"", b"z": b"123.4", b"\xc3\xa4": b"\xff"}, 2)
// by CPython 3.11.
constexpr char kPython3[] =
    "\x80\x02}q\x00(c_codecs\nencode\nq\x01X\x0b\x00\x00\x00X-Timestampq\x02X\x06\x00\x00\x00"
    "latin1q\x03\x86q\x04Rq\x05h\x01X\x05\x00\x00\x00"
    "123.4q\x06h\x03\x86q\x07Rq\x08h\x01X\x01\x00\x00\x00"
    "eq\th\x03\x86q\nRq\x0b"
    "c__builtin__\nbytes\nq\x0c)Rq\rh\x01X\x04\x00\x00\x00\xc3\x83\xc2\xa4q\x0eh\x03\x86q\x0fRq"
    "\x10h\x01X\x02\x00\x00\x00\xc3\xbfq\x11h\x03\x86q\x12Rq\x13u.";

TEST(Pickle, ReadsWhatPython3Writes) {
  const Metadata metadata = Parse(std::string_view(kPython3, sizeof kPython3 - 1)).value();
  const Metadata expected = {{"X-Timestamp", "123.4"}, {"e", ""}, {"\xc3\xa4", "\xff"}};
  EXPECT_EQ(metadata, expected);
}

TEST(Pickle, ReadsWhatPython2Wrote) {
  const Metadata expected = {{"name", "/a/c/o"}, {"ETag", "x"}};
  constexpr char kPython2[] =
      "\x80\x02}q\x01(U\x04nameq\x02U\x06/a/c/oq\x03U\x04"
      "ETagT\x01\0\0\0xu.";
  EXPECT_EQ(Parse(std::string_view(kPython2, sizeof kPython2 - 1)).value(), expected);
}

TEST(Pickle, ReadsOneItemAndNone) {
  EXPECT_EQ(Parse("\x80\x02}q\0."sv).value(), Metadata());
  EXPECT_EQ(Parse("\x80\x02}U\1aU\1bs."sv).value(), (Metadata{{"a", "b"}}));
}

TEST(Pickle, ReadsBackEveryByte) {
  std::string all;
  for (int i = 0; i < 256; ++i) all.push_back(static_cast<char>(i));
  const Metadata metadata = {{"all", all}, {all, ""}};
  EXPECT_EQ(Parse(PickleOf(metadata)).value(), metadata);
}

TEST(Pickle, ReadsManyItemsInBatches) {
  Metadata metadata;
  for (int i = 0; i < 2500; ++i) metadata["X-Object-Meta-" + std::to_string(i)] = std::to_string(i);
  std::string pickle = PickleOf(metadata);
  EXPECT_EQ(Parse(pickle).value(), metadata);
}

TEST(Pickle, NeverCallsAnything) {
  for (const std::string_view call : {"\x80\x02"
                                      "cos\nsystem\nU\4true\x85R."sv,
                                      "\x80\x02"
                                      "c__builtin__\neval\nU\4true\x85R."sv,
                                      "\x80\x02"
                                      "c_codecs\nencode\nX\1\0\0\0aX\4\0\0\0utf8\x86R."sv,
                                      "\x80\x02"
                                      "c_codecs\ndecode\n)R."sv,
                                      "\x80\x02i_codecs\nencode\n."sv, "\x80\x02}(U\1a}us."sv}) {
    const auto parsed = Parse(call);
    ASSERT_FALSE(parsed.has_value()) << call;
    EXPECT_EQ(parsed.error().code, ErrorCode::kInvalid);
    EXPECT_THAT(parsed.error().message, HasSubstr("offset"));
  }
}

TEST(Pickle, RefusesOtherProtocolsAndKinds) {
  for (const std::string& other :
       {std::string("(dp0\n."), std::string("\x80\x04\x95\0\0\0\0\0\0\0\0}\x94.", 14),
        std::string("\x80\x02]."), std::string("\x80\x02N."), std::string("\x80\x02}U\1aK\1s."),
        std::string("\x80\x02U\1a."), std::string("")}) {
    EXPECT_FALSE(Parse(other).has_value()) << other;
  }
}

TEST(Pickle, RefusesEveryCutAndEveryTail) {
  const std::string_view whole(kPython3, sizeof kPython3 - 1);
  for (std::size_t size = 0; size < whole.size(); ++size) {
    EXPECT_FALSE(Parse(whole.substr(0, size)).has_value()) << size;
  }
  EXPECT_FALSE(Parse(std::string(whole) + ".").has_value());
}

TEST(Pickle, CannotUnfoldToMoreThanItsLimit) {
  // One long value, fetched from the memo again and again under new keys.
  std::string bomb(
      "\x80\x02}(U\1"
      "a",
      7);
  bomb += "T" + std::string("\0\0\1\0", 4) + std::string(65'536, 'x') + "q\1";
  for (char key = 'b'; key < 'k'; ++key) bomb += std::string("U\1") + key + "h\1";
  EXPECT_THAT(Parse(bomb + "u.").error().message, HasSubstr("256 KiB"));
  EXPECT_EQ(Parse(std::string(kMaxPickleBytes + 1, '(')).error().code, ErrorCode::kLimitExceeded);
}

}  // namespace
}  // namespace zerocloud::swift
