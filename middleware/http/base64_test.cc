#include "middleware/http/base64.h"

#include <gtest/gtest.h>

#include <array>
#include <utility>

namespace zerocloud::http {
namespace {

// RFC 4648, section 10.
constexpr auto kVectors =
    std::to_array<std::pair<std::string_view, std::string_view>>({{"", ""},
                                                                  {"f", "Zg=="},
                                                                  {"fo", "Zm8="},
                                                                  {"foo", "Zm9v"},
                                                                  {"foob", "Zm9vYg=="},
                                                                  {"fooba", "Zm9vYmE="},
                                                                  {"foobar", "Zm9vYmFy"},
                                                                  {"\xff\xfe\xfd", "//79"}});

TEST(Base64, IsThatOfTheStandard) {
  for (const auto& [bytes, text] : kVectors) {
    EXPECT_EQ(ToBase64(bytes), text);
    EXPECT_EQ(FromBase64(text), bytes);
  }
}

TEST(Base64, IsReadWithoutItsPaddingToo) {
  for (const auto& [bytes, text] : kVectors) {
    EXPECT_EQ(FromBase64(text.substr(0, text.find('='))), bytes);
  }
}

TEST(Base64, OfAnythingElseIsNone) {
  for (const std::string_view text : {"Z", "Zm9vY", "Zg=", "Zg===", "=", "====", "Zm9v ", " Zm9v",
                                      "Zm\n9v", "Zm-v", "Zm_v", "Z=g="}) {
    EXPECT_EQ(FromBase64(text), std::nullopt) << text;
  }
}

}  // namespace
}  // namespace zerocloud::http
