#include "middleware/config/config.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <iterator>
#include <string>

#include "middleware/config/ini.h"
#include "middleware/config/options.h"

namespace zerocloud::config {
namespace {

using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::SizeIs;
using ::testing::StartsWith;

std::string RefusalOf(std::string_view ini) {
  Settings settings;
  const Result<void> applied = ApplyIni(settings, "z.conf", ini);
  return applied.has_value() ? "(accepted)" : applied.error().message;
}

std::string ReadFile(const char* path) {
  std::ifstream file(path);
  return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

TEST(Ini, ReadsWhatConfigParserReads) {
  const Result<Ini> ini = ParseIni(
      "\xef\xbb\xbf# a comment\r\n; another\n  # and one after spaces\n[one]\nplain=1\n"
      "  spaced : two words  \nempty =\nlist = a,\n   b,\n\n  # in between\n\tc\n[ two ]\n"
      "plain = # no comment ; here\nKey = x=y:z\n");
  ASSERT_TRUE(ini.has_value()) << ini.error().message;
  std::vector<std::string> seen;
  for (const IniEntry& entry : ini->entries) {
    seen.push_back(entry.section + "." + entry.key + "=" + entry.value + "@" +
                   std::to_string(entry.line));
  }
  EXPECT_THAT(seen,
              ElementsAre("one.plain=1 spaced : two words@5", "one.empty=@7", "one.list=a, b, c@8",
                          "two.plain=# no comment ; here@14", "two.Key=x=y:z@15"));
}

TEST(Ini, RefusesTheRestAndSaysTheLine) {
  const auto refusal = [](std::string_view text) {
    const Result<Ini> ini = ParseIni(text);
    return ini.has_value() ? std::string("(accepted)") : ini.error().message;
  };
  EXPECT_THAT(refusal("a = 1\n"), StartsWith("line 1: a stands before the first [section]"));
  EXPECT_THAT(refusal("[s]\na = 1\nb\n"), StartsWith("line 3: this is neither"));
  EXPECT_THAT(refusal("[s]\n= 1\n"), StartsWith("line 2: this is neither"));
  EXPECT_THAT(refusal("[s] # x\n"), StartsWith("line 1: a section is [name]"));
  EXPECT_THAT(refusal("[ ]\n"), StartsWith("line 1: a section is [name]"));
  EXPECT_THAT(refusal("["), StartsWith("line 1: a section is [name]"));
  EXPECT_THAT(refusal("[s]\na=1\na=2\n"), StartsWith("line 3: [s] a is in line 2 already"));
  EXPECT_THAT(refusal("[s]\n[t]\n[s]\n"), StartsWith("line 3: section [s] is in line 1 already"));
  EXPECT_THAT(refusal(std::string_view("[s]\na=\0\n", 8)), StartsWith("line 2: a control char"));
}

TEST(Ini, IsBounded) {
  const auto code = [](const std::string& text) {
    const Result<Ini> ini = ParseIni(text);
    return ini.has_value() ? ErrorCode::kInternal : ini.error().code;
  };
  EXPECT_EQ(code(std::string(kMaxIniBytes + 1, '\n')), ErrorCode::kLimitExceeded);
  EXPECT_EQ(code("[s]\na = " + std::string(kMaxIniLineBytes, 'x')), ErrorCode::kLimitExceeded);
  std::string lines = "[s]\na =\n";
  for (int i = 0; i < 3; ++i) lines += " " + std::string(kMaxIniLineBytes / 2, 'x') + "\n";
  EXPECT_EQ(code(lines), ErrorCode::kLimitExceeded);
  std::string many = "[s]\n";
  for (std::size_t i = 0; i <= kMaxIniEntries; ++i) many += std::to_string(i) + "=\n";
  EXPECT_EQ(code(many), ErrorCode::kLimitExceeded);
}

TEST(Config, ReadsWhatIsSetAndKeepsTheOtherDefaults) {
  Settings settings;
  const Result<void> applied = ApplyIni(settings, "z.conf", R"(
[zerocloud]
listen = [::1]:0
store = /srv/zerocloud
[server]
head_bytes = 131072
proxy_protocol = Yes
[jobs]
groups = 7
[engine]
[users]
user_test_tester = testing .admin
user_test_guest = k
user64_YV9i_Y19k = secret
)");
  ASSERT_TRUE(applied.has_value()) << applied.error().message;
  const Config& config = settings.config;
  EXPECT_EQ(config.listen, "[::1]:0");
  EXPECT_EQ(config.server.head_bytes, 131072U);
  EXPECT_TRUE(config.server.proxy_protocol);
  EXPECT_EQ(config.server.head_fields, Config().server.head_fields);
  EXPECT_EQ(config.jobs.groups, 7U);
  EXPECT_THAT(config.users,
              ElementsAre(User{"test", "tester", "testing", true},
                          User{"test", "guest", "k", false}, User{"a_b", "c_d", "secret", false}));
  EXPECT_TRUE(Check(config).has_value());
  EXPECT_THAT(settings.warnings, IsEmpty());
  EXPECT_EQ(settings.origins.at("server.head_bytes"), "z.conf:6");
}

TEST(Config, WarnsOfWhatItDoesNotKnowAndNamesWhatIsNear) {
  Settings settings;
  const Result<void> applied = ApplyIni(settings, "z.conf", R"([zerocloud]
lisen = x
[server]
head_byte = 1
spool_bytes = 1
quite_something_else = 1
[servr]
threads = 1
[DEFAULT]
workers = 2
)");
  ASSERT_TRUE(applied.has_value()) << applied.error().message;
  EXPECT_THAT(
      settings.warnings,
      ::testing::UnorderedElementsAre(
          "z.conf:2: [zerocloud] lisen: there is no such option; it is ignored. Is "
          "[zerocloud] listen meant?",
          "z.conf:4: [server] head_byte: there is no such option; it is ignored. Is [server] "
          "head_bytes meant?",
          "z.conf:5: [server] spool_bytes: there is no such option; it is ignored. Is "
          "[engine] spool_bytes meant?",
          "z.conf:6: [server] quite_something_else: there is no such option; it is ignored.",
          "z.conf:7: there is no section [servr]; it is ignored with all that is in it. Is "
          "[server] meant?",
          "z.conf:9: there is no section [DEFAULT]; it is ignored with all that is in it. No "
          "section takes values from it here; put each option in its own section."));
  EXPECT_EQ(settings.config.server.threads, 0U);
}

TEST(Config, WarnsOfFilesThatDisagreeAndTheLaterWins) {
  Settings settings;
  ASSERT_TRUE(ApplyIni(settings, "a",
                       "[server]\nthreads = 3\nconnections = 7\n"
                       "[users]\nuser_a_u = one\n"));
  ASSERT_TRUE(ApplyIni(settings, "b",
                       "[server]\nconnections = 7\n\nthreads = 4\n"
                       "[users]\nuser_a_u = two\n"));
  EXPECT_THAT(settings.warnings,
              ElementsAre("b:4: [server] threads = 4: a:2 says 3; this one counts.",
                          "b:6: [users] user_a_u: a:5 says otherwise; this one counts."));
  EXPECT_EQ(settings.config.server.threads, 4U);
  EXPECT_EQ(settings.origins.at("server.threads"), "b:4");
  EXPECT_THAT(settings.config.users, ElementsAre(User{"a", "u", "two", false}));
}

TEST(Config, RefusesValuesOutOfBoundsAndSaysWhereAndWhy) {
  EXPECT_EQ(RefusalOf("[server]\nthreads = 257\n"),
            "z.conf:2: [server] threads: \"257\" is not a whole number from 0 to 256.");
  for (const char* wrong : {"", "-1", "1.5", "4x", "0x4", "99999999999999999999", "%(x)s"}) {
    EXPECT_THAT(RefusalOf("[server]\nthreads = " + std::string(wrong)), HasSubstr("whole number"));
  }
  EXPECT_THAT(RefusalOf("[jobs]\ngroups = 0\n"), StartsWith("z.conf:2: [jobs] groups: \"0\""));
  EXPECT_THAT(RefusalOf("[storage]\ndurable = maybe\n"), HasSubstr("neither true nor false"));
  EXPECT_THAT(RefusalOf("[log]\naccess = xml\n"), HasSubstr("none of json, swift, none"));
  EXPECT_THAT(RefusalOf("no section\n"), StartsWith("z.conf: line 1: "));
}

TEST(Config, RefusesUsersThatAreNone) {
  for (const char* wrong :
       {"tester = k", "user_a = k", "user_a_b_c = k", "user_a_ = k", "user__u = k",
        "user_a_u =", "user_a_u = k .reseller_admin", "user64_!_YQ = k"}) {
    EXPECT_THAT(RefusalOf("[users]\n" + std::string(wrong)), StartsWith("z.conf:2: [users] "))
        << wrong;
  }
}

TEST(Config, TakesOptionsFromTheCommandLine) {
  Settings settings;
  EXPECT_TRUE(ApplyOption(settings, "server.threads", "9").has_value());
  EXPECT_TRUE(ApplyOption(settings, "engine.spool_directory", "7").has_value());
  EXPECT_EQ(settings.config.server.threads, 9U);
  EXPECT_EQ(settings.config.engine.spool_directory, "7");
  EXPECT_EQ(settings.origins.at("server.threads"), "the command line");
  EXPECT_FALSE(ApplyOption(settings, "server.threads", "9x").has_value());
  for (const char* wrong :
       {"", ".", "server", "server.", "server.thread", "threads", "/server/x"}) {
    EXPECT_FALSE(ApplyOption(settings, wrong, "1").has_value()) << wrong;
  }
  EXPECT_THAT(ApplyOption(settings, "server.thread", "1").error().message,
              HasSubstr("Is [server] threads meant?"));
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
  config.users.clear();
  config.metrics.listen = "9281";
  EXPECT_THAT(Check(config).error().message, StartsWith("metrics.listen: "));
  config.metrics.listen.clear();
  config.metrics.path = "metrics";
  EXPECT_FALSE(Check(config).has_value());
  config.metrics.path = "/m";
  config.statsd.prefix = "a:b";
  EXPECT_FALSE(Check(config).has_value());
}

TEST(Config, DumpsWhatIsInForceAndWhereItComesFromButNoKeys) {
  Settings settings;
  ASSERT_TRUE(ApplyIni(settings, "z.conf",
                       "[zerocloud]\nstore = /a \"quoted\" path\n"
                       "[users]\nuser_test_tester = secret .admin\n"
                       "user64_YV9i_I2M = secret\n"));
  ASSERT_TRUE(ApplyOption(settings, "server.threads", "17"));
  const std::string dump = Dump(settings);
  EXPECT_THAT(dump, Not(HasSubstr("secret")));
  EXPECT_THAT(dump, HasSubstr("# z.conf:2\nstore = /a \"quoted\" path\n"));
  EXPECT_THAT(dump, HasSubstr("# the command line\nthreads = 17\n"));
  EXPECT_THAT(dump, HasSubstr("# z.conf:5\nuser64_YV9i_I2M = (hidden)\n"));
  Settings again;
  const Result<void> applied = ApplyIni(again, "dump", dump);
  ASSERT_TRUE(applied.has_value()) << applied.error().message << dump;
  again.origins = settings.origins;
  EXPECT_EQ(Dump(again), dump);
  EXPECT_EQ(again.config.store, settings.config.store);
  EXPECT_EQ(again.config.server.threads, 17U);
  EXPECT_THAT(again.warnings, IsEmpty());
}

TEST(Config, IsDocumentedOptionByOption) {
  EXPECT_THAT(ReadFile(ZEROCLOUD_CONFIGURATION_PAGE), HasSubstr(Manual()))
      << "put the output of `zerocloud serve --manual` there";
  EXPECT_EQ(ReadFile(ZEROCLOUD_SAMPLE), Sample())
      << "put the output of `zerocloud serve --sample` there";
}

TEST(Config, IsSampledOptionByOptionWithItsDefault) {
  // With its comment signs before options taken away the sample sets every option, to its default.
  std::string set;
  std::size_t count = 0;
  std::istringstream lines(ReadFile(ZEROCLOUD_SAMPLE));
  std::string section;
  for (std::string line; std::getline(lines, line);) {
    if (line.starts_with('[')) section = line.substr(1, line.size() - 2);
    const std::string key = line.starts_with("# ") ? line.substr(2, line.find(" =") - 2) : "";
    const bool is_option = line.find(" =") != std::string::npos && FindOption(section, key);
    count += is_option ? 1 : 0;
    set += (is_option ? line.substr(2) : line) + "\n";
  }
  EXPECT_EQ(count, Options().size());
  Settings settings;
  const Result<void> applied = ApplyIni(settings, "sample", set);
  ASSERT_TRUE(applied.has_value()) << applied.error().message;
  EXPECT_EQ(settings.origins.size(), Options().size());
  for (const Option& option : Options()) {
    EXPECT_EQ(ValueIn(settings.config, option), ValueIn(Config(), option)) << option.name();
  }
}

TEST(Config, TakesOverSomeOptionsAndNamesTheOthers) {
  Settings running;
  Settings read;
  ASSERT_TRUE(ApplyOption(running, "zerocloud.upstream", "http://127.0.0.1:1").has_value());
  EXPECT_THAT(NeedRestart(running.config, running.config), IsEmpty());
  for (const auto& [name, value] : {std::pair("zerocloud.upstream", "http://127.0.0.1:2"),
                                    {"server.head_fields", "11"},
                                    {"server.proxy_protocol", "yes"},
                                    {"server.threads", "3"},
                                    {"nodes.list", "127.0.0.1:1"},
                                    {"engine.workers", "9"},
                                    {"jobs.groups", "7"}}) {
    ASSERT_TRUE(ApplyOption(read, name, value).has_value());
  }
  const Config now = Reloaded(running.config, read.config);
  EXPECT_EQ(now.upstream, "http://127.0.0.1:2");
  EXPECT_EQ(now.server.head_fields, 11U);
  EXPECT_TRUE(now.server.proxy_protocol);
  EXPECT_EQ(now.nodes.list, "127.0.0.1:1");
  EXPECT_EQ(now.server.threads, 0U);
  EXPECT_EQ(now.jobs.groups, Config().jobs.groups);
  const auto rest = ElementsAre("server.threads", "engine.workers", "jobs.groups");
  EXPECT_THAT(NeedRestart(running.config, read.config), rest);
  EXPECT_THAT(Differ(now, read.config), rest) << "what is left is what needs a restart";
  EXPECT_THAT(Differ(running.config, read.config), SizeIs(7));
  read.config.users.push_back({"a", "u", "k", false});
  EXPECT_THAT(NeedRestart(running.config, read.config), Contains("users"));
}

TEST(Config, NamesWhatWasSetAndMeansNothingToANode) {
  Settings settings;
  EXPECT_THAT(UnusedByNode(settings), IsEmpty());
  ASSERT_TRUE(ApplyIni(settings, "node.conf",
                       "[zerocloud]\nupstream = http://127.0.0.1:1\nlisten = 127.0.0.1:8080\n"
                       "[log]\naccess = none\n[metrics]\nlisten = 127.0.0.1:9281\n"
                       "[healthcheck]\ndisable_path = x\n[nodes]\nkey_file = k\nlist =\n"
                       "[server]\nconnections = 7\n[local]\ndevices = /srv/node\n"
                       "[node]\nwaiting = 1\n[jobs]\ngroups = 7\nmemory_bytes = 9\n")
                  .has_value());
  ASSERT_TRUE(ApplyOption(settings, "engine.workers", "4").has_value()) << "the default";
  // All of [jobs] may be there, as it is everywhere else.
  EXPECT_THAT(UnusedByNode(settings), ElementsAre("zerocloud.listen", "healthcheck.disable_path",
                                                  "log.access", "engine.workers", "nodes.list"));
}

TEST(Config, OfANodeIsDocumented) {
  const std::string manual = NodeManual();
  EXPECT_THAT(ReadFile(ZEROCLOUD_NODES_PAGE), HasSubstr(manual)) << "put this there:\n" << manual;
  EXPECT_THAT(manual, HasSubstr("| `[local]` | all |\n"));
  EXPECT_THAT(manual, HasSubstr("| `[nodes]` | `key_file`, `silence_seconds` |\n"));
  EXPECT_THAT(manual, Not(HasSubstr("healthcheck")));
}

TEST(Config, HasASectionForEachOption) {
  for (const Option& option : Options()) {
    EXPECT_TRUE(std::ranges::any_of(Sections(), [&](const SectionDescription& section) {
      return section.name == option.section;
    })) << option.name();
  }
}

}  // namespace
}  // namespace zerocloud::config
