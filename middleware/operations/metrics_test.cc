#include "middleware/operations/metrics.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <iterator>
#include <map>
#include <regex>
#include <set>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

#include "middleware/operations/metrics_handler.h"

namespace zerocloud::operations {
namespace {

using std::chrono::microseconds;
using ::testing::HasSubstr;

// A reader of the text format, as strict as its description.
struct Parsed {
  std::map<std::string, std::string> types;  // of each metric
  std::map<std::string, double> samples;     // by name and labels as they stand
  std::vector<std::string> objections;
};

Parsed Parse(const std::string& text) {
  static const std::regex kComment("# (HELP|TYPE) ([a-zA-Z_:][a-zA-Z0-9_:]*) (.+)");
  static const std::regex kSample(
      R"re(([a-zA-Z_:][a-zA-Z0-9_:]*)(\{([a-zA-Z_][a-zA-Z0-9_]*="([^"\\]|\\["\\n])*",?)+\})? ([-+.0-9einfa]+))re");
  Parsed parsed;
  std::istringstream lines(text);
  std::string current;
  std::set<std::string> finished;
  for (std::string line; std::getline(lines, line);) {
    std::smatch match;
    if (std::regex_match(line, match, kComment)) {
      if (match[1] == "TYPE" && !parsed.types.emplace(match[2], match[3]).second) {
        parsed.objections.push_back("two types: " + line);
      }
      if (match[2] != current) finished.insert(std::exchange(current, match[2].str()));
      if (finished.contains(current)) parsed.objections.push_back("not together: " + line);
      continue;
    }
    if (!std::regex_match(line, match, kSample)) {
      parsed.objections.push_back("no sample: " + line);
      continue;
    }
    if (!match[1].str().starts_with(current)) parsed.objections.push_back("stray: " + line);
    if (!parsed.samples.emplace(match[1].str() + match[2].str(), std::stod(match[5])).second) {
      parsed.objections.push_back("twice: " + line);
    }
  }
  if (!text.ends_with('\n')) parsed.objections.emplace_back("no line feed at the end");
  for (const auto& [name, value] : parsed.samples) {
    const std::size_t inf = name.find("le=\"+Inf\"");
    if (inf == std::string::npos) continue;
    std::string labels = name.substr(name.find('{') + 1, inf - name.find('{') - 1);
    if (labels.ends_with(',')) labels.pop_back();
    const std::string base = name.substr(0, name.find("_bucket{"));
    const std::string count = base + "_count" + (labels.empty() ? "" : "{" + labels + "}");
    if (parsed.samples[count] != value) parsed.objections.push_back("not cumulative: " + name);
  }
  return parsed;
}

http::RequestHead Head(std::string method, std::string target) {
  http::RequestHead head;
  head.method = std::move(method);
  head.target = std::move(target);
  return head;
}

TEST(Metrics, CountsRequestsByWhatTheyAreFor) {
  Metrics metrics("1", nullptr);
  const auto count = [&metrics](const http::RequestHead& head, int status) {
    server::RequestRecord record;
    record.head = &head;
    record.status = status;
    record.bytes_in = 3;
    record.bytes_out = 5;
    record.duration = microseconds(1500);
    metrics.Count(record);
  };
  for (const char* account : {"/v1/a", "/v1/a/", "/v1/a?x=/1/2/3"})
    count(Head("GET", account), 200);
  count(Head("HEAD", "/v1/a/c"), 204);
  for (const char* object : {"/v1/a/c/o", "/v1/a/c/o/p/q"}) count(Head("PUT", object), 201);
  for (const char* other : {"/", "*", "/info", "/v1/", "", "/v2/a/c/o"})
    count(Head("GET", other), 404);
  count(Head("LICK", "/v1/a/c/o"), 405);
  count(Head("GET", "/v1/a/c/o"), 100'000);  // never, but nothing breaks
  http::RequestHead job = Head("POST", "/v1/a");
  job.headers.Add("X-Zerovm-Execute", "1.0");
  count(job, 499);
  const Parsed parsed = Parse(metrics.Text());
  EXPECT_THAT(parsed.objections, ::testing::IsEmpty());
  const auto value = [&](const std::string& labels) {
    const auto found = parsed.samples.find("zerocloud_requests_total{" + labels + "}");
    return found == parsed.samples.end() ? -1 : found->second;
  };
  EXPECT_EQ(value(R"(type="account",method="GET",status="200")"), 3);
  EXPECT_EQ(value(R"(type="container",method="HEAD",status="204")"), 1);
  EXPECT_EQ(value(R"(type="object",method="PUT",status="201")"), 2);
  EXPECT_EQ(value(R"(type="other",method="GET",status="404")"), 6);
  EXPECT_EQ(value(R"(type="object",method="other",status="405")"), 1);
  EXPECT_EQ(value(R"(type="job",method="POST",status="499")"), 1);
  EXPECT_EQ(parsed.samples.at("zerocloud_received_bytes_total"), 3 * 15);
  EXPECT_EQ(parsed.samples.at("zerocloud_sent_bytes_total"), 5 * 15);
  EXPECT_EQ(parsed.samples.at(R"(zerocloud_request_seconds_bucket{type="account",le="0.001"})"), 0);
  EXPECT_EQ(parsed.samples.at(R"(zerocloud_request_seconds_bucket{type="account",le="0.0025"})"),
            3);
  EXPECT_EQ(parsed.samples.at(R"(zerocloud_request_seconds_count{type="account"})"), 3);
  EXPECT_NEAR(parsed.samples.at(R"(zerocloud_request_seconds_sum{type="account"})"), 0.0045, 1e-9);
}

TEST(Metrics, CountsJobsAndSessions) {
  Metrics metrics("1", nullptr);
  node::JobResult good;
  good.wall_time = microseconds(2'000'000);
  good.sessions.resize(3);
  for (node::SessionOutcome& session : good.sessions) {
    session.end = node::SessionEnd::kSucceeded;
    session.report.cause = runtime::Cause::kExited;
  }
  good.sessions[0].has_objects = good.sessions[0].is_local = good.sessions[1].has_objects = true;
  metrics.Count(good);
  node::JobResult bad;
  bad.error = Error{ErrorCode::kUnavailable, "x"};
  bad.sessions.resize(2);
  bad.sessions[0].end = node::SessionEnd::kFailed;
  bad.sessions[0].report.cause = runtime::Cause::kMemoryLimit;
  metrics.Count(bad);
  const Parsed parsed = Parse(metrics.Text());
  EXPECT_THAT(parsed.objections, ::testing::IsEmpty());
  EXPECT_EQ(parsed.samples.at(R"(zerocloud_jobs_total{status="200"})"), 1);
  EXPECT_EQ(parsed.samples.at(R"(zerocloud_jobs_total{status="503"})"), 1);
  EXPECT_EQ(parsed.samples.at(R"(zerocloud_sessions_total{cause="exited"})"), 3);
  EXPECT_EQ(parsed.samples.at(R"(zerocloud_sessions_total{cause="not_started"})"), 1);
  EXPECT_EQ(parsed.samples.at("zerocloud_sessions_total{cause=\"" +
                              std::string(ToString(runtime::Cause::kMemoryLimit)) + "\"}"),
            1);
  EXPECT_EQ(parsed.samples.at(R"(zerocloud_input_sessions_total{place="local"})"), 1);
  EXPECT_EQ(parsed.samples.at(R"(zerocloud_input_sessions_total{place="remote"})"), 1);
  EXPECT_EQ(parsed.samples.at(R"(zerocloud_job_seconds_bucket{le="1"})"), 1);
  EXPECT_EQ(parsed.samples.at(R"(zerocloud_job_seconds_bucket{le="5"})"), 2);
}

TEST(Metrics, LosesNothingWhenThreadsCountAtOnce) {
  Metrics metrics("1", nullptr);
  const http::RequestHead head = Head("GET", "/v1/a");
  std::vector<std::thread> threads;
  threads.reserve(4);
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&] {
      for (int j = 0; j < 5000; ++j) {
        server::RequestRecord record;
        record.head = &head;
        record.status = 200;
        metrics.Count(record);
        if (j % 1000 == 0) EXPECT_THAT(Parse(metrics.Text()).types.size(), ::testing::Gt(5U));
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_THAT(
      metrics.Text(),
      HasSubstr(R"(zerocloud_requests_total{type="account",method="GET",status="200"} 20000)"));
}

TEST(Metrics, AsksItsSourcesAndIsServedAtItsPathOnly) {
  Metrics metrics("1 \"x\"\n\\", nullptr);
  metrics.AddSource([](auto& samples) {
    samples.emplace_back("zerocloud_upstream_left_out", R"(endpoint="a:1")", 1);
    samples.emplace_back("zerocloud_jobs", "", 7);
    samples.emplace_back("zerocloud_upstream_left_out", R"(endpoint="b:1")", 0);
  });
  MetricsHandler handler([&metrics] { return metrics.Text(); }, "/metrics");
  auto begun = handler.Begin(Head("GET", "/metrics?x"));
  const auto& response = std::get<http::Response>(begun);
  EXPECT_EQ(response.status, 200);
  EXPECT_EQ(response.headers.Get("Content-Type"), "text/plain; version=0.0.4; charset=utf-8");
  const Parsed parsed = Parse(response.text);
  EXPECT_THAT(parsed.objections, ::testing::IsEmpty());
  EXPECT_EQ(parsed.samples.at("zerocloud_jobs"), 7);
  EXPECT_EQ(parsed.samples.at(R"(zerocloud_upstream_left_out{endpoint="a:1"})"), 1);
  for (const auto& [method, target, status] :
       {std::tuple("GET", "/", 404), {"POST", "/metrics", 405}, {"GET", "/metrics/x", 404}}) {
    auto other = handler.Begin(Head(method, target));
    EXPECT_EQ(std::get<http::Response>(other).status, status);
  }
}

TEST(Metrics, AreAllDocumented) {
  std::ifstream file(ZEROCLOUD_OPERATIONS_PAGE);
  const std::string page((std::istreambuf_iterator<char>(file)), {});
  EXPECT_THAT(page, HasSubstr(MetricsManual())) << "put this there:\n" << MetricsManual();
  // And all that is documented there exists.
  static const std::regex kName("`(zerocloud_[a-z_]+)`");
  for (std::sregex_iterator name(page.begin(), page.end(), kName); name != std::sregex_iterator();
       ++name) {
    EXPECT_THAT(MetricsManual(), HasSubstr("`" + (*name)[1].str() + "`"));
  }
}

}  // namespace
}  // namespace zerocloud::operations
