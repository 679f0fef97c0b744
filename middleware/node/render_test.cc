#include "middleware/node/render.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <csignal>
#include <cstring>

namespace zerocloud::node {
namespace {

using testing::HasSubstr;
using testing::Not;
using testing::StartsWith;

class TextBody : public http::BodySource {
 public:
  explicit TextBody(std::string text) : text_(std::move(text)) {}
  Result<std::size_t> Read(std::span<std::byte> buffer) override {
    // Less than asked for, as a file or a socket may do.
    const std::size_t size = std::min({buffer.size(), text_.size() - sent_, std::size_t{1000}});
    std::memcpy(buffer.data(), text_.data() + sent_, size);
    sent_ += size;
    return size;
  }

 private:
  std::string text_;
  std::size_t sent_ = 0;
};

SessionOutcome Good(std::string name) {
  SessionOutcome session;
  session.name = std::move(name);
  session.end = SessionEnd::kSucceeded;
  session.status = "ok";
  session.report.cause = runtime::Cause::kExited;
  session.report.wall_time = std::chrono::milliseconds(377);
  session.report.user_time = std::chrono::milliseconds(310);
  session.report.system_time = std::chrono::milliseconds(20);
  session.usage.disk_reads = 12;
  session.usage.disk_read_bytes = 40960;
  session.usage.network_writes = 2;
  session.usage.network_written_bytes = 99;
  return session;
}

JobResult GoodJob(std::string body) {
  JobResult result;
  result.sessions = {Good("count-1"), Good("count-2")};
  result.wall_time = std::chrono::milliseconds(412);
  result.content_type = "text/csv";
  result.body_size = body.size();
  result.body = std::make_unique<TextBody>(std::move(body));
  return result;
}

JobResult BadJob() {
  JobResult result;
  result.error = Error{ErrorCode::kGuestFault, "session b failed: exit code 3"};
  result.failed_session = 1;
  result.sessions = {Good("a"), Good("b"), {}};
  result.sessions[1].end = SessionEnd::kFailed;
  result.sessions[1].status = "exit code 3";
  result.sessions[1].report.exit_code = 3;
  result.sessions[1].stderr_tail = "oops, \"bad\" \xff line";
  result.sessions[2].name = "c";
  return result;
}

std::string Header(const http::Response& response, std::string_view name) {
  return std::string(response.headers.Get(name).value_or("(none)"));
}

TEST(ChooseForm, FollowsTheAcceptHeader) {
  EXPECT_EQ(ChooseForm(""), AnswerForm::kPlain);
  EXPECT_EQ(ChooseForm("*/*"), AnswerForm::kPlain);
  EXPECT_EQ(ChooseForm("text/html, application/json;q=0.5"), AnswerForm::kJson);
  EXPECT_EQ(ChooseForm("application/vnd.zerocloud.report+json"), AnswerForm::kReport);
}

TEST(RenderResponse, SuccessHasBodySizeTypeAndSessionLists) {
  const http::Response response = RenderResponse(GoodJob("hello"), AnswerForm::kPlain);
  EXPECT_EQ(response.status, 200);
  EXPECT_EQ(response.body_size, 5U);
  ASSERT_NE(response.body, nullptr);
  EXPECT_EQ(Header(response, "Content-Type"), "text/csv");
  EXPECT_EQ(Header(response, "X-Content-Type-Options"), "nosniff");
  EXPECT_EQ(Header(response, "X-Nexe-System"), "count-1,count-2");
  EXPECT_EQ(Header(response, "X-Nexe-Status"), "ok,ok");
  EXPECT_EQ(Header(response, "X-Nexe-Retcode"), "0,0");
  EXPECT_EQ(Header(response, "X-Nexe-Etag"), "disabled,disabled");
  EXPECT_EQ(Header(response, "X-Nexe-Validation"), "0,0");
  EXPECT_EQ(Header(response, "X-Nexe-Cdr-Line"),
            "0.412, 0.377, 0.02 0.31 12 40960 0 0 0 0 2 99,0.377, 0.02 0.31 12 40960 0 0 0 0 2 99");
  EXPECT_EQ(Header(response, "X-Nexe-Sessions"), "2");
  EXPECT_EQ(Header(response, "X-Nexe-Shown"), "(none)");
  EXPECT_EQ(Header(response, "X-Nexe-Error"), "(none)");
}

TEST(RenderResponse, ReportsTellWhetherSessionsKeptCompany) {
  JobResult result = GoodJob("");
  result.sessions = {Good("a-1"), Good("b-1"), Good("a-2"), Good("b-2"), Good("c"), Good("b-3")};
  for (const std::size_t i : {0U, 1U}) result.sessions[i].company = 1;
  for (const std::size_t i : {2U, 3U}) result.sessions[i].company = 0;
  result.sessions[5].company = 2;
  for (const std::size_t i : {0U, 1U, 2U}) result.sessions[i].node = "n1";
  result.sessions[3].node = "n2";
  result.sessions[5].end = SessionEnd::kNotStarted;
  const std::string text = RenderResponse(std::move(result), AnswerForm::kReport).text;
  const auto told_of = [&](const std::string& name) {
    const std::size_t start = text.find("\"name\":\"" + name);
    const std::string its = text.substr(start, text.find("\"name\"", start + 1) - start);
    return its.contains("\"colocated\":true")    ? "yes"
           : its.contains("\"colocated\":false") ? "no"
                                                 : "nothing";
  };
  EXPECT_STREQ(told_of("a-1"), "yes");
  EXPECT_STREQ(told_of("b-1"), "yes");
  EXPECT_STREQ(told_of("a-2"), "no");
  EXPECT_STREQ(told_of("b-2"), "no");
  EXPECT_STREQ(told_of("c"), "nothing");
  EXPECT_STREQ(told_of("b-3"), "nothing");
}

TEST(RenderResponse, ListsOfManySessionsAreCutAlike) {
  JobResult result = GoodJob("");
  result.sessions.clear();
  for (int i = 0; i < 10'000; ++i) result.sessions.push_back(Good("session-" + std::to_string(i)));
  const http::Response response = RenderResponse(std::move(result), AnswerForm::kPlain);
  EXPECT_EQ(Header(response, "X-Nexe-Sessions"), "10000");
  const std::string shown = Header(response, "X-Nexe-Shown");
  EXPECT_LE(Header(response, "X-Nexe-Cdr-Line").size(), 4096U);
  for (const char* list : {"X-Nexe-System", "X-Nexe-Status", "X-Nexe-Retcode", "X-Nexe-Etag"}) {
    const std::string text = Header(response, list);
    EXPECT_EQ(std::to_string(std::ranges::count(text, ',') + 1), shown) << list;
  }
}

TEST(RenderResponse, HeadersHoldNoLineBreaksOrForeignBytes) {
  JobResult result = BadJob();
  result.error = Error{ErrorCode::kGuestFault, "a\r\nX-Evil: 1\xc3\xa4"};
  result.sessions[1].status = "x,y";
  const http::Response response = RenderResponse(std::move(result), AnswerForm::kPlain);
  EXPECT_EQ(Header(response, "X-Nexe-Error"), "a%0D%0AX-Evil: 1%C3%A4");
  EXPECT_EQ(Header(response, "X-Nexe-Status"), "ok,x;y,not started");
}

TEST(RenderResponse, FailureSaysWhyInText) {
  const http::Response response = RenderResponse(BadJob(), AnswerForm::kPlain);
  EXPECT_EQ(response.status, 500);
  EXPECT_THAT(response.text, StartsWith("session b failed: exit code 3\n\nstderr of b:\noops"));
  EXPECT_EQ(Header(response, "X-Nexe-Retcode"), "0,3,0");
  EXPECT_EQ(Header(response, "X-Nexe-Validation"), "0,0,2");
}

TEST(RenderResponse, SessionsThatDidNotExitByThemselvesHaveRetcodesAsInAShell) {
  JobResult result = BadJob();
  runtime::SessionReport& report = result.sessions[1].report;
  report.exit_code = 0;
  report.cause = runtime::Cause::kFaulted;
  report.signal = SIGSEGV;
  EXPECT_EQ(Header(RenderResponse(std::move(result), AnswerForm::kPlain), "X-Nexe-Retcode"),
            "0,139,0");
  result = BadJob();
  result.sessions[1].report.exit_code = 0;
  result.sessions[1].report.cause = runtime::Cause::kTimedOut;
  EXPECT_EQ(Header(RenderResponse(std::move(result), AnswerForm::kPlain), "X-Nexe-Retcode"),
            "0,137,0");
}

TEST(RenderResponse, ReportTellsPeakMemoryAndTheLimitThatWasHit) {
  JobResult result = BadJob();
  result.sessions[1].report.peak_memory = 123'456;
  result.sessions[1].limit_hit = "cpu_seconds";
  const http::Response response = RenderResponse(std::move(result), AnswerForm::kJson);
  EXPECT_THAT(response.text, HasSubstr(R"("cpu_us":330000,"peak_memory_bytes":123456,)"
                                       R"("limit_hit":"cpu_seconds",)"));
  EXPECT_THAT(RenderResponse(BadJob(), AnswerForm::kJson).text, Not(HasSubstr("limit_hit")));
}

TEST(RenderResponse, FailureSaysWhyInJson) {
  const http::Response response = RenderResponse(BadJob(), AnswerForm::kJson);
  EXPECT_EQ(response.status, 500);
  EXPECT_EQ(Header(response, "Content-Type"), "application/json");
  EXPECT_THAT(response.text,
              StartsWith(R"({"error":{"code":"guest_fault","message":)"
                         R"("session b failed: exit code 3"},"failed_session":"b")"));
  EXPECT_THAT(response.text, HasSubstr(R"("end":"failed","status":"exit code 3","cause":"exited",)"
                                       R"("exit":3,"wall_us":377000,"cpu_us":330000)"));
  EXPECT_THAT(response.text, HasSubstr("oops, \\\"bad\\\" \xef\xbf\xbd line"));
  EXPECT_THAT(response.text,
              HasSubstr(R"({"name":"c","end":"not_started","status":"not started"})"));
}

TEST(RenderResponse, ReportCarriesSessionsAndBody) {
  const http::Response response = RenderResponse(GoodJob("hello\n"), AnswerForm::kReport);
  EXPECT_EQ(response.status, 200);
  EXPECT_EQ(Header(response, "Content-Type"), kReportType);
  EXPECT_EQ(response.body, nullptr);
  EXPECT_THAT(response.text, HasSubstr(R"("in_bytes":40960,"out_bytes":99)"));
  EXPECT_THAT(response.text,
              HasSubstr(R"("body_bytes":6,"content_type":"text/csv","body":"hello\n"})"));
  EXPECT_THAT(response.text, Not(HasSubstr("error")));
}

TEST(RenderResponse, ReportSaysWhoReadInPlaceAndWhyOthersDidNot) {
  JobResult result = GoodJob("x");
  EXPECT_THAT(RenderResponse(GoodJob("x"), AnswerForm::kReport).text, Not(HasSubstr("local")));
  result.sessions.push_back(Good("nothing-to-read"));
  result.sessions[0].is_local = true;
  result.sessions[0].is_mapped = true;
  result.sessions[1].why_not_local = "it is encrypted";
  const std::string text = RenderResponse(std::move(result), AnswerForm::kReport).text;
  EXPECT_THAT(text, HasSubstr(R"("local_sessions":1)"));
  EXPECT_THAT(text, HasSubstr(R"("local":true,"mapped":true)"));
  EXPECT_THAT(text, HasSubstr(R"("local":false,"why_not_local":"it is encrypted")"));
}

TEST(RenderResponse, ReportCarriesOtherBytesAsBase64) {
  const http::Response response =
      RenderResponse(GoodJob(std::string("\xff\0z", 3)), AnswerForm::kReport);
  EXPECT_THAT(response.text, HasSubstr(R"("body_base64":"/wB6")"));
}

TEST(RenderResponse, ReportShowsOnlyTheStartOfALongBody) {
  const http::Response response =
      RenderResponse(GoodJob(std::string(kReportBodyBytes + 5, 'x')), AnswerForm::kReport);
  EXPECT_THAT(response.text, HasSubstr(R"("body_bytes":1048581,"body_shown":1048576)"));
}

TEST(RenderError, StatusSaysWhoMustAct) {
  const std::vector<std::pair<ErrorCode, int>> table = {
      {ErrorCode::kInvalid, 400},       {ErrorCode::kForbidden, 403},
      {ErrorCode::kNotFound, 404},      {ErrorCode::kConflict, 409},
      {ErrorCode::kLimitExceeded, 413}, {ErrorCode::kRejectedCode, 422},
      {ErrorCode::kTimeout, 408},       {ErrorCode::kCancelled, 499},
      {ErrorCode::kUnavailable, 503},   {ErrorCode::kGuestFault, 500},
      {ErrorCode::kInternal, 500}};
  for (const auto& [code, status] : table) {
    EXPECT_EQ(RenderError({code, "why"}, AnswerForm::kPlain).status, status);
  }
  const http::Response json = RenderError({ErrorCode::kInvalid, "/0/name: why"}, AnswerForm::kJson);
  EXPECT_EQ(json.text, "{\"error\":{\"code\":\"invalid\",\"message\":\"/0/name: why\"}}\n");
}

}  // namespace
}  // namespace zerocloud::node
