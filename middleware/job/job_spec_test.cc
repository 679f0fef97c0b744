#include "middleware/job/job_spec.h"

#include <gtest/gtest.h>

#include <string>

namespace zerocloud::job {
namespace {

Error ErrorOf(std::string_view json, const JobLimits& limits = {}) {
  Result<JobSpec> job = ParseJob(json, limits);
  if (job) {
    ADD_FAILURE() << "accepted: " << json;
    return {};
  }
  return job.error();
}

// One group with `members` beside a name and a program.
std::string Group1(std::string_view members) {
  return R"([{"name": "a", "exec": {"path": "swift://~/c/p"})" + std::string(members) + "}]";
}

TEST(ParseJob, ReadsEveryKey) {
  Result<JobSpec> job = ParseJob(R"([
    {"name": "map", "exec": {"path": "swift://AUTH_x/bin/wc", "args": "-l \"a b\" c\\x2cd",
                             "env": {"B": "2", "A": ""}, "name": "counter"},
     "devices": [{"name": "stdin", "path": "swift://~/texts/*.txt"},
                 {"name": "stderr", "path": "swift://./log/*", "content_type": "text/plain",
                  "meta": {"Made-By": "map"}}],
     "connect": ["red"], "timeout": 1.5, "memory": 33554432},
    {"name": "red", "exec": {"path": "swift://~/bin/red"}, "count": 4,
     "devices": [{"name": "stdout"}]}])",
                                 {});
  ASSERT_TRUE(job.has_value()) << job.error().message;
  ASSERT_EQ(job->groups.size(), 2U);
  const Group& map = job->groups[0];
  EXPECT_EQ(map.name, "map");
  EXPECT_EQ(map.program, (ObjectUrl{"AUTH_x", "bin", "wc"}));
  EXPECT_EQ(map.args, (std::vector<std::string>{"-l", "a b", "c,d"}));
  EXPECT_EQ(map.program_name, "counter");
  ASSERT_EQ(map.env.size(), 2U);
  EXPECT_EQ(map.env[0], (std::pair<std::string, std::string>{"B", "2"}));
  EXPECT_EQ(map.env[1], (std::pair<std::string, std::string>{"A", ""}));
  ASSERT_EQ(map.devices.size(), 2U);
  EXPECT_EQ(map.devices[0].path, (ObjectUrl{"", "texts", "*.txt"}));
  EXPECT_EQ(map.devices[1].path, (ObjectUrl{"", "log", "*"}));
  EXPECT_EQ(map.devices[1].content_type, "text/plain");
  EXPECT_EQ(map.devices[1].metadata.at("Made-By"), "map");
  EXPECT_EQ(map.devices[1].pointer, "/0/devices/1");
  EXPECT_EQ(map.connect, std::vector<std::size_t>{1});
  EXPECT_EQ(map.timeout.count(), 1500);
  EXPECT_EQ(map.memory_bytes, 33554432U);
  EXPECT_FALSE(map.count.has_value());
  const Group& red = job->groups[1];
  EXPECT_EQ(red.count, 4U);
  EXPECT_EQ(red.devices[0].content_type, "text/plain");
  EXPECT_FALSE(red.devices[0].path.has_value());
  EXPECT_EQ(red.timeout.count(), 60'000);
}

TEST(ParseJob, AcceptsAGroupWithoutDevices) {
  Result<JobSpec> job = ParseJob(Group1(""), {});
  ASSERT_TRUE(job.has_value());
  EXPECT_TRUE(job->groups[0].devices.empty());
}

TEST(ParseJob, TakesArgumentsAsAList) {
  Result<JobSpec> job = ParseJob(
      R"([{"name": "a", "exec": {"path": "swift://~/c/p", "args": ["a b", "", "\""]}}])", {});
  ASSERT_TRUE(job.has_value());
  EXPECT_EQ(job->groups[0].args, (std::vector<std::string>{"a b", "", "\""}));
}

TEST(ParseJob, TakesAPlaceFromDevicesOfTheGroupAndTags) {
  const auto parse = [](std::string_view more) {
    Result<JobSpec> job = ParseJob(
        Group1(R"(, "devices": [{"name": "stdin"}, {"name": "output"}])" + std::string(more)), {});
    EXPECT_TRUE(job.has_value());
    return std::move(job->groups.at(0));
  };
  EXPECT_EQ(parse("").attach, std::nullopt);
  EXPECT_EQ(parse(R"(, "attach": "default")").attach, std::nullopt);
  EXPECT_EQ(parse(R"(, "attach": "stdin")").attach, DeviceName::kStdin);
  EXPECT_EQ(parse(R"(, "attach": "output")").attach, DeviceName::kOutput);
  EXPECT_EQ(parse("").location, "");
  EXPECT_EQ(parse(R"(, "location": "rack a/1")").location, "rack a/1");
}

struct Refusal {
  std::string json;
  std::string message_start;  // pointer included
};

TEST(ParseJob, RefusesWithPointerAndSentence) {
  const std::string exec = R"("exec": {"path": "swift://~/c/p"})";
  const std::vector<Refusal> refusals = {
      {"{}", "the job: a job is a list of groups, not an object"},
      {"null", "the job: a job is a list of groups, not null"},
      {"[]", "the job: a job needs at least one group"},
      {"[1]", "/0: a group is an object, not a number"},
      {"[", "the job: this is not JSON"},
      {"", "the job: this is not JSON"},
      {"[] []", "the job: this is not JSON"},
      {"[{\"name\": \"\xff\"}]", "the job: this is not JSON"},
      {R"([{}])", "/0/name: this key is required"},
      {R"([{"name": 1}])", "/0/name: this is a string, not a number"},
      {R"([{"name": ""}])", "/0/name: this must not be empty"},
      {R"([{"name": "a\u0000"}])", "/0/name: a name cannot hold control characters"},
      {R"([{"name": "a\n"}])", "/0/name: a name cannot hold control characters"},
      {R"([{"name": "a/b"}])", "/0/name: a name becomes a file name"},
      {R"([{"name": ".."}])", "/0/name: a name becomes a file name"},
      {R"([{"name": "a"}])", "/0/exec: this key is required"},
      {R"([{"name": "a", "exec": []}])", "/0/exec: exec is an object, not an array"},
      {R"([{"name": "a", "exec": {}}])", "/0/exec/path: this key is required"},
      {R"([{"name": "a", "exec": {"path": "swift://~/c/p"}, "devices": [{"name": "input", "mapped": 1}]}])",
       "/0/devices/0/mapped"},
      {R"([{"name": "a", "exec": {"path": "swift://~/c/p"}, "devices": [{"name": "stdin", "mapped": true}]}])",
       "/0/devices/0/mapped"},
      {R"([{"name": "a", "exec": {"path": "swift://~/c/p", "arg": "x"}}])",
       "/0/exec/arg: exec has no such key; it has path, args, env, name"},
      {R"([{"name": "a", "exec": {"path": "swift://~/c/p", "args": "\"x"}}])",
       "/0/exec/args: a double quote is not closed"},
      {R"([{"name": "a", "exec": {"path": "swift://~/c/p", "args": 3}}])",
       "/0/exec/args: arguments are one string, or a list"},
      {R"([{"name": "a", "exec": {"path": "swift://~/c/p", "args": ["x", 3]}}])",
       "/0/exec/args/1: an argument is a string"},
      {R"([{"name": "a", "exec": {"path": "swift://~/c/p", "env": {"A": 1}}}])",
       "/0/exec/env/A: a value is a string, not a number"},
      {R"([{"name": "a", "exec": {"path": "swift://~/c/p", "env": {"A": "", "A": ""}}}])",
       "/0/exec/env/A: the variable is given twice"},
      {R"([{"name": "a", "exec": {"path": "swift://~/c/p", "env": {"a/~=": ""}}}])",
       "/0/exec/env/a~1~0=: a variable's name"},
      {R"([{"name": "a", "exec": {"path": "file://python:python"}}])",
       "/0/exec/path: \"file://python:python\" names a program inside an image"},
      {R"([{"name": "a", "exec": {"path": "/c/p"}}])", "/0/exec/path: \"/c/p\" is no object"},
      {R"([{"name": "a", "exec": {"path": "swift://~/c/*"}}])",
       "/0/exec/path: a program has no wildcards"},
      {R"([{"name": "a", "exec": {"path": "swift://*/c/p"}}])",
       "/0/exec/path: \"swift://*/c/p\" has a wildcard in its account"},
      {R"([{"name": "a", "exec": {"path": "swift://~/c"}}])",
       "/0/exec/path: \"swift://~/c\" names a container and no object"},
      {R"([{"name": "a", "exec": {"path": "swift://~"}}])",
       "/0/exec/path: \"swift://~\" names no container"},
      {R"([{"name": "a", "exec": {"path": "swift:///c/p"}}])",
       "/0/exec/path: \"swift:///c/p\" names no account"},
      {Group1(R"(, "conect": [])"), "/0/conect: a group has no such key; it has name, exec"},
      {Group1(R"(, "file_list": [])"), "/0/file_list: this key is called devices"},
      {Group1(R"(, "replicate": 2)"), "/0/replicate: a session runs once"},
      {Group1(R"(, "attach": 1)"), "/0/attach: this is a string, not a number"},
      {Group1(R"(, "attach": "stdin")"),
       "/0/attach: the group has no device \"stdin\"; it may be one of default"},
      {Group1(R"(, "devices": [{"name": "stdin"}, {"name": "stdout"}], "attach": "output")"),
       "/0/attach: the group has no device \"output\"; it may be one of default, stdin, stdout"},
      {Group1(R"(, "attach": "defaul")"), "/0/attach: the group has no device \"defaul\""},
      {Group1(R"(, "location": [])"), "/0/location: this is a string, not an array"},
      {Group1(R"(, "location": "")"), "/0/location: this must not be empty"},
      {Group1(R"(, "location": "a\n")"), "/0/location: a tag cannot hold control characters"},
      {Group1(R"(, "name": "b")"), "/0/name: the key is given twice"},
      {Group1(R"(, "count": 0)"), "/0/count: this is a whole number of at least 1"},
      {Group1(R"(, "count": true)"), "/0/count: this is a whole number"},
      {Group1(R"(, "count": 1.5)"), "/0/count: this is a whole number"},
      {Group1(R"(, "count": -1)"), "/0/count: this is a whole number"},
      {Group1(R"(, "timeout": 0)"), "/0/timeout: this is a number of seconds above 0"},
      {Group1(R"(, "timeout": "1")"), "/0/timeout: this is a number of seconds above 0"},
      {Group1(R"(, "memory": "1")"), "/0/memory: this is a whole number"},
      {Group1(R"(, "connect": "a")"), "/0/connect: connect is a list of names"},
      {Group1(R"(, "connect": [1])"), "/0/connect/0: a group's name is a string"},
      {Group1(R"(, "connect": ["b"])"), "/0/connect/0: there is no group \"b\""},
      {Group1(R"(, "connect": ["a", "a"])"), "/0/connect/1: \"a\" is connected already"},
      {Group1(R"(, "devices": {})"), "/0/devices: devices is a list, not an object"},
      {Group1(R"(, "devices": [{}])"), "/0/devices/0/name: this key is required"},
      {Group1(R"(, "devices": [{"name": "stdni"}])"),
       "/0/devices/0/name: there is no device \"stdni\"; devices are stdin, stdout, stderr, input"},
      {Group1(R"(, "devices": [{"name": "stdin"}, {"name": "stdin"}])"),
       "/0/devices/1/name: /0/devices/0 is stdin already"},
      {Group1(R"(, "devices": [{"name": "stdin", "path": "http://x/y"}])"),
       "/0/devices/0/path: \"http://x/y\" is no object"},
      {Group1(R"(, "devices": [{"name": "stdout", "path": "zvm://b:stdin"}])"),
       "/0/devices/0/path: \"zvm://b:stdin\" is a pipe to another group"},
      {Group1(R"(, "devices": [{"name": "stdin", "path": "swift://~/c/\u0000"}])"),
       "/0/devices/0/path: "},
      {Group1(R"(, "devices": [{"name": "stdin", "content_type": "text/plain"}])"),
       "/0/devices/0/content_type: only what is written"},
      {Group1(R"(, "devices": [{"name": "stdout", "content_type": "a\r\nb: c/"}])"),
       "/0/devices/0/content_type: a content type is"},
      {Group1(R"(, "devices": [{"name": "stdout", "content_type": "message/cgi"}])"),
       "/0/devices/0/content_type: answers whose headers the program writes"},
      {Group1(R"(, "devices": [{"name": "stdout", "meta": {}}])"),
       "/0/devices/0/meta: only an output that is stored"},
      {Group1(R"(, "devices": [{"name": "stdout", "path": "swift://~/c/o", "meta": {"a b": ""}}])"),
       "/0/devices/0/meta/a b: a name of metadata"},
      {Group1(R"(, "devices": [{"name": "stdout", "path": "swift://~/c/o", "meta": {"a": "\n"}}])"),
       "/0/devices/0/meta/a: a value cannot hold control characters"},
      {Group1(R"(, "devices": [{"name": "stdout", "mode": "char"}])"),
       "/0/devices/0/mode: a device always shows what it is"},
      {"[{\"name\": \"a\", " + exec + "}, {\"name\": \"a\", " + exec + "}]",
       "/1/name: /0 is called \"a\" already"},
  };
  for (const Refusal& refusal : refusals) {
    const Error error = ErrorOf(refusal.json);
    EXPECT_EQ(error.code, ErrorCode::kInvalid) << refusal.json;
    EXPECT_TRUE(error.message.starts_with(refusal.message_start))
        << refusal.json << "\n  says  " << error.message << "\n  wants " << refusal.message_start;
  }
}

TEST(ParseJob, RefusesJsonAMegabyteDeep) {
  JobLimits limits;
  limits.document_bytes = 8ULL * 1024 * 1024;
  const std::size_t depth = 1024ULL * 1024;
  for (const std::string& open : {std::string("["), std::string(R"({"a":)")}) {
    std::string json;
    for (std::size_t i = 0; i < depth; ++i) json += open;
    const Error error = ErrorOf(json, limits);
    EXPECT_EQ(error.code, ErrorCode::kLimitExceeded);
    EXPECT_NE(error.message.find("document_depth is 16"), std::string::npos) << error.message;
  }
}

TEST(ParseJob, NamesEveryLimitItEnforces) {
  JobLimits limits;
  const auto expect = [&](const std::string& json, std::string_view limit) {
    const Error error = ErrorOf(json, limits);
    EXPECT_EQ(error.code, ErrorCode::kLimitExceeded) << error.message;
    EXPECT_NE(error.message.find(limit), std::string::npos) << error.message;
  };
  limits.document_bytes = 10;
  expect(std::string(11, ' '), "the limit document_bytes is 10");
  limits = {};
  limits.groups = 1;
  expect("[1, 2]", "the limit groups is 1");
  limits.sessions = 5;
  expect(Group1(R"(, "count": 6)"), "the limit sessions is 5");
  limits.timeout_seconds = 7;
  expect(Group1(R"(, "timeout": 7.5)"), "the limit timeout_seconds is 7");
  expect(Group1(R"(, "timeout": 1e300)"), "the limit timeout_seconds is 7");
  limits.memory_bytes = 8;
  expect(Group1(R"(, "memory": 9)"), "the limit memory_bytes is 8");
  limits.name_bytes = 2;
  expect(R"([{"name": "abc"}])", "the limit name_bytes is 2");
  expect(Group1(R"(, "attach": "stdin")"), "the limit name_bytes is 2");
  expect(Group1(R"(, "location": "abc")"), "the limit name_bytes is 2");
  limits = {};
  limits.url_bytes = 4;
  expect(Group1(""), "the limit url_bytes is 4");
  limits = {};
  for (const char* device : {"stdin", "stdout"}) {
    const auto with_stars = [&](std::size_t in_object) {
      return Group1(R"(, "devices": [{"name": ")" + std::string(device) +
                    R"(", "path": "swift://~/**/)" + std::string(in_object, '*') + R"("}])");
    };
    EXPECT_TRUE(ParseJob(with_stars(62), limits).has_value());
    expect(with_stars(63),
           "/0/devices/0/path: wildcards of the path: 65; the limit wildcards is 64");
  }
  limits.args_bytes = 3;
  expect(R"([{"name": "a", "exec": {"path": "swift://~/c/p", "args": "abcd"}}])",
         "the limit args_bytes is 3");
  limits.env_entries = 1;
  expect(R"([{"name": "a", "exec": {"path": "swift://~/c/p", "env": {"A": "", "B": ""}}}])",
         "the limit env_entries is 1");
  limits.metadata_entries = 1;
  expect(Group1(R"(, "devices": [{"name": "stdout", "path": "swift://~/c/o",
                                  "meta": {"a": "", "b": ""}}])"),
         "the limit metadata_entries is 1");
  limits = {};
  limits.metadata_bytes = 3;
  expect(Group1(R"(, "devices": [{"name": "stdout", "path": "swift://~/c/o",
                                  "meta": {"a": "bcd"}}])"),
         "the limit metadata_bytes is 3");
}

TEST(ParseJob, DefaultsNeverExceedTheMaxima) {
  JobLimits limits;
  limits.timeout_seconds = 2;
  limits.memory_bytes = 1000;
  Result<JobSpec> job = ParseJob(Group1(""), limits);
  ASSERT_TRUE(job.has_value());
  EXPECT_EQ(job->groups[0].timeout.count(), 2000);
  EXPECT_EQ(job->groups[0].memory_bytes, 1000U);
}

TEST(SplitArguments, SplitsAtSpacesQuotesAndDecodes) {
  using Words = std::vector<std::string>;
  EXPECT_EQ(SplitArguments("").value(), Words{});
  EXPECT_EQ(SplitArguments("  a  b ").value(), (Words{"a", "b"}));
  EXPECT_EQ(SplitArguments(R"(a" b"c "" \x20\x2C)").value(), (Words{"a bc", "", " ,"}));
  EXPECT_EQ(SplitArguments("\\n C:\\y").value(), (Words{"\\n", "C:\\y"}));
  EXPECT_FALSE(SplitArguments("\"a").has_value());
  EXPECT_FALSE(SplitArguments("\\x0").has_value());
  EXPECT_FALSE(SplitArguments("\\x00").has_value());
  EXPECT_FALSE(SplitArguments("\\xzz").has_value());
}

}  // namespace
}  // namespace zerocloud::job
