#include "middleware/swift/endpoints.h"

#include <gtest/gtest.h>

namespace zerocloud::swift {
namespace {

TEST(Endpoints, AreReadAsSwiftWritesThem) {
  const auto found = ParseEndpoints(
      R"({"endpoints": ["http://10.1.1.1:6200/sda1/2/a/c2/o1", "http://[fd00::2]:6201/d-2/70000/a/c2/o%2F1"],
          "headers": {"X-Backend-Storage-Policy-Index": "3"}})");
  ASSERT_TRUE(found.has_value()) << found.error().message;
  EXPECT_EQ(found->policy, 3U);
  ASSERT_EQ(found->endpoints.size(), 2U);
  EXPECT_EQ(found->endpoints[0].address, "10.1.1.1");
  EXPECT_EQ(found->endpoints[0].device, "sda1");
  EXPECT_EQ(found->endpoints[1].address, "fd00::2");
  EXPECT_EQ(found->endpoints[1].partition, 70'000U);
  EXPECT_TRUE(ParseEndpoints(R"({"endpoints": [], "headers": {}})").has_value());
}

TEST(Endpoints, RefuseEverythingElse) {
  for (const char* bad :
       {"", "[]", "{}", R"({"endpoints": [], "headers": []})",
        R"({"endpoints": {}, "headers": {}})", R"({"endpoints": [1], "headers": {}})",
        R"({"endpoints": [], "headers": {"X-Backend-Storage-Policy-Index": 1}})",
        R"({"endpoints": [], "headers": {"X-Backend-Storage-Policy-Index": "-1"}})",
        R"({"endpoints": [], "headers": {"X-Backend-Storage-Policy-Index": "99999999999"}})"}) {
    EXPECT_FALSE(ParseEndpoints(bad).has_value()) << bad;
  }
  for (const char* url :
       {"", "ftp://h:1/d/1/a", "http://h:1/d/1", "http://h/d/1/a/c/o", "http://h:x/d/1/a/c/o",
        "http://:1/d/1/a/c/o", "http://h:1//1/a/c/o", "http://h:1/../1/a/c/o",
        "http://h:1/./1/a/c/o", "http://h:1/d/-1/a/c/o", "http://h:1/d/4294967296/a/c/o",
        "http://h:1/d/x/a/c/o", "http://h:1/\\u0000/1/a/c/o"}) {
    EXPECT_FALSE(ParseEndpoints(R"({"headers": {}, "endpoints": [")" + std::string(url) + R"("]})"))
        << url;
  }
}

TEST(Endpoints, AreBounded) {
  std::string many = R"({"headers": {}, "endpoints": ["http://h:1/d/1/a/c/o")";
  for (std::size_t i = 0; i < kMaxEndpoints; ++i) many += R"(, "http://h:1/d/1/a/c/o")";
  EXPECT_EQ(ParseEndpoints(many + "]}").error().code, ErrorCode::kLimitExceeded);
  EXPECT_EQ(ParseEndpoints(std::string(kMaxEndpointsBytes + 1, ' ')).error().code,
            ErrorCode::kLimitExceeded);
  EXPECT_FALSE(ParseEndpoints(std::string(500'000, '[')).has_value());
}

}  // namespace
}  // namespace zerocloud::swift
