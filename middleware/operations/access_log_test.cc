#include "middleware/operations/access_log.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <sstream>
#include <string>
#include <vector>

namespace zerocloud::operations {
namespace {

using ::testing::Each;
using ::testing::HasSubstr;
using ::testing::MatchesRegex;
using ::testing::Not;

struct Logged {
  http::RequestHead head;
  server::RequestRecord record;

  Logged() {
    head.method = "PUT";
    head.target = "/v1/AUTH_test/c/o%20x?q=1";
    head.remote_address = "10.0.0.1";
    record.head = &head;
    record.trans_id = "tx0123456789abcdef01234-0123456789";
    record.status = 201;
    record.bytes_in = 7;
    record.duration = std::chrono::microseconds(12'345);
  }
  [[nodiscard]] std::vector<std::string> Fields(std::size_t token_bytes = 4) const {
    std::istringstream line(SwiftLine(record, token_bytes));
    std::vector<std::string> fields;
    for (std::string field; line >> field;) fields.push_back(field);
    return fields;
  }
};

TEST(AccessLog, WritesTheFieldsOfSwiftsProxyInItsOrder) {
  Logged logged;
  logged.head.headers.Add("X-Forwarded-For", " 192.0.2.9 , 10.0.0.1");
  logged.head.headers.Add("Referer", "http://r/?a b");
  logged.head.headers.Add("User-Agent", "curl/7 (x)");
  logged.head.headers.Add("X-Auth-Token", "AUTH_tk0123456789");
  logged.head.headers.Add("ETag", "\"e\"");
  const std::vector<std::string> fields = logged.Fields();
  ASSERT_EQ(fields.size(), 21U);
  EXPECT_EQ(fields[0], "192.0.2.9");
  EXPECT_EQ(fields[1], "10.0.0.1");
  EXPECT_THAT(fields[2],
              MatchesRegex("[0-9]{2}/[A-Z][a-z]{2}/[0-9]{4}/[0-9]{2}/[0-9]{2}/[0-9]{2}"));
  EXPECT_EQ(fields[3], "PUT");
  EXPECT_EQ(fields[4], "/v1/AUTH_test/c/o%2520x%3Fq%3D1");
  EXPECT_EQ(fields[5], "HTTP/1.1");
  EXPECT_EQ(fields[6], "201");
  EXPECT_EQ(fields[7], "http://r/%3Fa%20b");
  EXPECT_EQ(fields[8], "curl/7%20%28x%29");
  EXPECT_EQ(fields[9], "AUTH...");
  EXPECT_EQ(fields[10], "7");
  EXPECT_EQ(fields[11], "-");
  EXPECT_EQ(fields[12], "%22e%22");
  EXPECT_EQ(fields[13], logged.record.trans_id);
  EXPECT_EQ(fields[14], "-");
  EXPECT_EQ(fields[15], "0.0123");
  EXPECT_EQ(fields[16], "-");
  EXPECT_THAT(fields[18], MatchesRegex("[0-9]+\\.[0-9]{9}"));
  EXPECT_GT(std::stod(fields[19]), std::stod(fields[18]));
  EXPECT_EQ(fields[20], "-");
}

TEST(AccessLog, NamesItselfAsTheSourceOfJobs) {
  Logged logged;
  logged.head.headers.Add("X-Zerovm-Execute", "1.0");
  EXPECT_EQ(logged.Fields()[16], "ZC");
}

TEST(AccessLog, CannotBeMadeToWriteAnotherLineOrField) {
  std::string all;
  for (int byte = 0; byte < 256; ++byte) all.push_back(static_cast<char>(byte));
  Logged logged;
  logged.head.method = all;
  logged.head.target = all;
  logged.head.remote_address = all;
  logged.record.trans_id = all;
  for (const char* name : {"Referer", "User-Agent", "X-Auth-Token", "ETag", "X-Forwarded-For"}) {
    logged.head.headers.Add(name, all);
  }
  const auto printable = [](const std::string& line) {
    return std::ranges::count(line, '\n') == 1 && line.ends_with('\n') &&
           std::ranges::all_of(line.substr(0, line.size() - 1),
                               [](char c) { return c >= ' ' && c <= '~'; });
  };
  EXPECT_TRUE(printable(SwiftLine(logged.record, 1000)));
  EXPECT_EQ(logged.Fields(1000).size(), 21U);
  EXPECT_TRUE(printable(JsonLine(logged.record)));
}

TEST(AccessLog, ShowsNoSecret) {
  Logged logged;
  logged.head.headers.Add("X-Auth-Token", "short");
  logged.head.target = "/v1/a/c/o?temp_url_sig=0123456789&temp_url_expires=1&Signature=abcdefgh&x";
  EXPECT_EQ(logged.Fields(16)[9], "...");
  EXPECT_EQ(logged.Fields(4)[4],
            "/v1/a/c/o%3Ftemp_url_sig%3D0123...%26temp_url_expires%3D1%26Signature%3Dabcd...%26x");
  EXPECT_THAT(JsonLine(logged.record), HasSubstr("?temp_url_sig=...&temp_url_expires=1&"));
  EXPECT_THAT(JsonLine(logged.record), Not(HasSubstr("short")));
}

}  // namespace
}  // namespace zerocloud::operations
