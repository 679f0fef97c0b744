#include "middleware/config/config.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <iterator>
#include <string>

namespace zerocloud::config {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

std::string RefusalOf(std::string_view json) {
  Config config;
  const Result<void> applied = ApplyJson(config, json);
  return applied.has_value() ? "(accepted)" : applied.error().message;
}

TEST(Config, ReadsWhatIsSetAndKeepsTheOtherDefaults) {
  Config config;
  const Result<void> applied = ApplyJson(config, R"({
    "listen": "[::1]:0", "store": "/srv/zerocloud",
    "users": [{"account": "test", "user": "tester", "key": "testing", "admin": true},
              {"account": "test", "user": "guest", "key": "k"}],
    "server": {"head_bytes": 131072}, "jobs": {"groups": 7}, "engine": {}})");
  ASSERT_TRUE(applied.has_value()) << applied.error().message;
  EXPECT_EQ(config.listen, "[::1]:0");
  EXPECT_EQ(config.server.head_bytes, 131072U);
  EXPECT_EQ(config.server.head_fields, Config().server.head_fields);
  EXPECT_EQ(config.jobs.groups, 7U);
  ASSERT_EQ(config.users.size(), 2U);
  EXPECT_EQ(config.users[0], (User{"test", "tester", "testing", true}));
  EXPECT_FALSE(config.users[1].is_admin);
  EXPECT_TRUE(Check(config).has_value());
}

TEST(Config, RefusesWhatItDoesNotKnowAndSaysWhere) {
  EXPECT_THAT(RefusalOf(R"({"lisen": "x"})"), StartsWith("/lisen: "));
  EXPECT_THAT(RefusalOf(R"({"server": {"head_byte": 1}})"), StartsWith("/server/head_byte: "));
  EXPECT_THAT(RefusalOf(R"({"servers": {}})"), StartsWith("/servers: "));
  EXPECT_THAT(RefusalOf(R"({"a/b~c": 1})"), StartsWith("/a~1b~0c: "));
  EXPECT_THAT(RefusalOf(R"({"users": [{"name": "x"}]})"), StartsWith("/users/0/name: "));
  EXPECT_THAT(RefusalOf(R"({"users": ["x"]})"), StartsWith("/users/0: "));
  EXPECT_THAT(RefusalOf(R"({"users": {"1": {"key": "x"}}})"), StartsWith("/users/1/key: "));
}

TEST(Config, RefusesValuesOfTheWrongKindOrRange) {
  EXPECT_THAT(RefusalOf(R"({"listen": 8080})"), HasSubstr("string"));
  EXPECT_THAT(RefusalOf(R"({"server": {"threads": "4"}})"), HasSubstr("whole number"));
  EXPECT_THAT(RefusalOf(R"({"server": {"threads": 1.5}})"), HasSubstr("whole number"));
  EXPECT_THAT(RefusalOf(R"({"server": {"threads": -1}})"), HasSubstr("whole number"));
  EXPECT_THAT(RefusalOf(R"({"server": {"threads": 257}})"), HasSubstr("0 to 256"));
  EXPECT_THAT(RefusalOf(R"({"jobs": {"groups": 0}})"), HasSubstr("/jobs/groups"));
}

TEST(Config, RefusesTextThatIsNotOneJsonObject) {
  EXPECT_THAT(RefusalOf(""), HasSubstr("not JSON"));
  EXPECT_THAT(RefusalOf("[]"), HasSubstr("object"));
  EXPECT_THAT(RefusalOf("3"), HasSubstr("object"));
  EXPECT_THAT(RefusalOf("{} {}"), HasSubstr("not JSON"));
  EXPECT_THAT(RefusalOf(R"({"listen": "a", "listen": "b"})"), HasSubstr("twice"));
  EXPECT_THAT(RefusalOf(std::string(500'000, '[')), HasSubstr("object"));
  EXPECT_THAT(RefusalOf("{\"a\":" + std::string(500'000, '[')), HasSubstr("deeper"));
  EXPECT_THAT(RefusalOf(std::string((1U << 20U) + 1, ' ')), HasSubstr("limit"));
}

TEST(Config, TakesOptionsFromTheCommandLine) {
  Config config;
  EXPECT_TRUE(ApplyOption(config, "/server/threads", "9").has_value());
  EXPECT_TRUE(ApplyOption(config, "/engine/spool_directory", "7").has_value());
  EXPECT_EQ(config.server.threads, 9U);
  EXPECT_EQ(config.engine.spool_directory, "7");
  EXPECT_FALSE(ApplyOption(config, "/server/threads", "9x").has_value());
  EXPECT_FALSE(ApplyOption(config, "/server/threads", "").has_value());
  EXPECT_FALSE(ApplyOption(config, "server/threads", "9").has_value());
}

TEST(Config, ReadsUsers) {
  EXPECT_EQ(ParseUser("a:u:k").value_or(User{}), (User{"a", "u", "k", false}));
  EXPECT_EQ(ParseUser("a:u:k:admin").value_or(User{}), (User{"a", "u", "k", true}));
  for (const char* wrong :
       {"", "a", "a:u", "a:u:", ":u:k", "a::k", "a:u:k:boss", "a:u:k:admin:x"}) {
    EXPECT_FALSE(ParseUser(wrong).has_value()) << wrong;
  }
}

TEST(Config, ReadsEndpoints) {
  EXPECT_EQ(ParseEndpoint("127.0.0.1:8080").value_or(Endpoint{}).port, 8080);
  EXPECT_EQ(ParseEndpoint("[::1]:0").value_or(Endpoint{}).host, "::1");
  for (const char* wrong : {"", "8080", "localhost:80", "127.0.0.1", "127.0.0.1:",
                            "127.0.0.1:65536", "::1:80", "[]:1", "127.0.0.1:80x", "127.0.0.1:-1"}) {
    EXPECT_FALSE(ParseEndpoint(wrong).has_value()) << wrong;
  }
}

TEST(Config, ChecksWhatOptionsMeanTogether) {
  Config config;
  EXPECT_FALSE(Check(config).has_value());  // neither store nor upstream
  config.store = "/srv";
  EXPECT_TRUE(Check(config).has_value());
  config.upstream = "http://localhost";
  EXPECT_FALSE(Check(config).has_value());
  config.store.clear();
  EXPECT_TRUE(Check(config).has_value());
  config.local.devices = "/srv/node";
  EXPECT_FALSE(Check(config).has_value());  // no rings
  config.local.swift_dir = "/etc/swift";
  EXPECT_TRUE(Check(config).has_value());
  config.upstream.clear();
  config.store = "/srv";
  EXPECT_FALSE(Check(config).has_value());  // devices of no Swift
  config.local = {};
  config.store.clear();
  config.upstream = "http://localhost";
  config.users = {{"a", "u", "k", true}};
  EXPECT_FALSE(Check(config).has_value());
  config.upstream.clear();
  config.store = "/srv";
  EXPECT_TRUE(Check(config).has_value());
  config.users.push_back({"a", "u", "other", false});
  EXPECT_FALSE(Check(config).has_value());
}

TEST(Config, DumpsWhatIsInForceButNoKeys) {
  Config config;
  config.store = "/a \"quoted\"\npath";
  config.users = {{"test", "tester", "secret", true}};
  config.server.threads = 17;
  const std::string dump = Dump(config);
  EXPECT_THAT(dump, Not(HasSubstr("secret")));
  Config again;
  const Result<void> applied = ApplyJson(again, dump);
  ASSERT_TRUE(applied.has_value()) << applied.error().message << dump;
  EXPECT_EQ(Dump(again), dump);
  EXPECT_EQ(again.store, config.store);
  EXPECT_EQ(again.server.threads, 17U);
}

TEST(Config, IsDocumentedOptionByOption) {
  std::ifstream file(ZEROCLOUD_CONFIGURATION_PAGE);
  const std::string page((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
  EXPECT_THAT(page, HasSubstr(Manual()))
      << "put the output of `zerocloud serve --manual` between the markers";
}

}  // namespace
}  // namespace zerocloud::config
