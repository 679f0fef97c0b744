#include "middleware/execution/execution_handler.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <future>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "middleware/http/reply.h"

namespace zerocloud::execution {
namespace {

using ::testing::HasSubstr;

constexpr std::string_view kJob =
    R"([{"name": "a", "exec": {"path": "swift://~/bin/a"}, "devices": [{"name": "stdout"}]}])";

class InnerHandler : public http::Handler {
 public:
  Begun Begin(const http::RequestHead& head) override {
    return http::TextResponse(299, "inner " + head.method);
  }
};

// Lets everybody in but the token "bad", and "slow" when it may.
class FakeAuthorizer : public store::Authorizer {
 public:
  std::promise<void> asked;
  std::promise<void> may_answer;
  std::expected<store::Caller, http::Response> AuthorizeJob(const http::RequestHead& head,
                                                            const std::string& account) override {
    const std::string token(head.headers.Get("X-Auth-Token").value_or(""));
    if (token == "slow") {
      asked.set_value();
      may_answer.get_future().wait();
    }
    if (token == "bad") return std::unexpected(http::TextResponse(401, "who are you?"));
    return store::Caller{account, "u", token};
  }
};

// Tells when it is destroyed.
class FakeHandle : public node::JobHandle {
 public:
  explicit FakeHandle(std::promise<void>& destroyed) : destroyed_(destroyed) {}
  ~FakeHandle() override { destroyed_.set_value(); }
  FakeHandle(const FakeHandle&) = delete;
  FakeHandle& operator=(const FakeHandle&) = delete;

 private:
  std::promise<void>& destroyed_;
};

class ExecutionTest : public ::testing::Test {
 protected:
  struct Submitted {
    node::JobRequest request;
    std::function<void(node::JobResult)> done;
  };

  ExecutionTest()
      : handler_(
            inner_, authorizer_, SmallLimits(),
            [this](node::JobRequest request, std::function<void(node::JobResult)> done) {
              auto handle = std::make_unique<FakeHandle>(destroyed_);
              submitted_.set_value({std::move(request), std::move(done)});
              return handle;
            },
            1) {}

  static job::JobLimits SmallLimits() {
    job::JobLimits limits;
    limits.document_bytes = 1000;
    return limits;
  }

  static http::RequestHead JobHead(std::string target = "/v1/AUTH_a") {
    http::RequestHead head;
    head.method = "POST";
    head.target = std::move(target);
    head.headers.Add("X-Zerovm-Execute", "1.0");
    head.headers.Add("Content-Type", "application/json; charset=utf-8");
    head.headers.Add("X-Auth-Token", "t");
    return head;
  }

  // The answer to a head that is decided at once.
  http::Response Refusal(const http::RequestHead& head) {
    auto begun = handler_.Begin(head);
    auto* response = std::get_if<http::Response>(&begun);
    EXPECT_NE(response, nullptr);
    return response != nullptr ? std::move(*response) : http::Response();
  }

  std::unique_ptr<http::Exchange> Begin(const http::RequestHead& head, std::string_view body) {
    auto begun = handler_.Begin(head);
    auto* exchange = std::get_if<std::unique_ptr<http::Exchange>>(&begun);
    if (exchange == nullptr) return nullptr;
    const auto bytes = std::as_bytes(std::span(body));
    EXPECT_TRUE((*exchange)->Write(bytes.first(bytes.size() / 2)).has_value());
    EXPECT_TRUE((*exchange)->Write(bytes.subspan(bytes.size() / 2)).has_value());
    return std::move(*exchange);
  }

  static std::future<http::Response> Finish(http::Exchange& exchange) {
    auto promise = std::make_shared<std::promise<http::Response>>();
    auto future = promise->get_future();
    exchange.Finish(
        [promise](http::Response response) { promise->set_value(std::move(response)); });
    return future;
  }

  InnerHandler inner_;
  FakeAuthorizer authorizer_;
  std::promise<void> destroyed_;
  std::promise<Submitted> submitted_;
  ExecutionHandler handler_;
};

TEST_F(ExecutionTest, LeavesOtherRequestsToTheInnerHandler) {
  http::RequestHead head = JobHead();
  head.headers.Remove("X-Zerovm-Execute");
  EXPECT_EQ(Refusal(head).status, 299);
}

TEST_F(ExecutionTest, RefusesHeadsThatAreNoJob) {
  http::RequestHead head = JobHead();
  head.headers.Set("X-Zerovm-Execute", "open/1.0");
  EXPECT_EQ(Refusal(head).status, 400);
  EXPECT_THAT(Refusal(head).text, HasSubstr("1.0"));
  head = JobHead();
  head.method = "GET";
  EXPECT_EQ(Refusal(head).status, 405);
  EXPECT_EQ(Refusal(head).headers.Get("Allow"), "POST");
  head = JobHead();
  head.headers.Remove("Content-Type");
  EXPECT_EQ(Refusal(head).status, 400);
  head.headers.Set("Content-Type", "text/plain");
  EXPECT_EQ(Refusal(head).status, 415);
  EXPECT_EQ(Refusal(JobHead("/v1/AUTH_a/container")).status, 400);
  EXPECT_EQ(Refusal(JobHead("/info")).status, 404);
  EXPECT_EQ(Refusal(JobHead("/v1/AUTH_a/c/%00")).status / 100, 4);
  head = JobHead();
  head.content_length = 1001;
  EXPECT_EQ(Refusal(head).status, 413);
  EXPECT_THAT(Refusal(head).text, HasSubstr("1000"));
}

TEST_F(ExecutionTest, BoundsADocumentOfUnknownLength) {
  auto begun = handler_.Begin(JobHead());
  auto& exchange = std::get<std::unique_ptr<http::Exchange>>(begun);
  const std::vector<std::byte> piece(600);
  EXPECT_TRUE(exchange->Write(piece).has_value());
  const Result<void> second = exchange->Write(piece);
  ASSERT_FALSE(second.has_value());
  EXPECT_EQ(second.error().code, ErrorCode::kLimitExceeded);
}

TEST_F(ExecutionTest, RefusesCallersBeforeItReadsTheirJob) {
  http::RequestHead head = JobHead();
  head.headers.Set("X-Auth-Token", "bad");
  const auto exchange = Begin(head, "no job at all");
  EXPECT_EQ(Finish(*exchange).get().status, 401);
}

TEST_F(ExecutionTest, SaysWhatIsWrongWithADocument) {
  http::RequestHead head = JobHead();
  auto exchange = Begin(head, R"([{"name": "a"}])");
  http::Response response = Finish(*exchange).get();
  EXPECT_EQ(response.status, 400);
  EXPECT_THAT(response.text, HasSubstr("/0"));
  head.headers.Add("Accept", "application/json");
  exchange = Begin(head, "");
  response = Finish(*exchange).get();
  EXPECT_EQ(response.status, 400);
  EXPECT_THAT(std::string(response.headers.Get("Content-Type").value_or("")),
              HasSubstr("application/json"));
}

TEST_F(ExecutionTest, SubmitsJobsAsTheCallerAndAnswersWithTheirResult) {
  const auto exchange = Begin(JobHead("/v1/AUTH_a/c%20d/o/p"), kJob);
  auto answer = Finish(*exchange);
  Submitted submitted = submitted_.get_future().get();
  EXPECT_EQ(submitted.request.caller.token, "t");
  EXPECT_EQ(submitted.request.origin.account, "AUTH_a");
  EXPECT_EQ(submitted.request.origin.object, (job::ObjectUrl{"AUTH_a", "c d", "o/p"}));
  EXPECT_EQ(submitted.request.spec.groups.size(), 1U);
  submitted.done({});
  EXPECT_EQ(answer.get().status, 200);
}

TEST_F(ExecutionTest, ForgetsTheDocumentOfAClientThatLeavesWhileItWaits) {
  http::RequestHead slow = JobHead();
  slow.headers.Set("X-Auth-Token", "slow");
  const auto busy = Begin(slow, kJob);
  auto answer = Finish(*busy);
  authorizer_.asked.get_future().wait();
  auto waiting = Begin(JobHead(), kJob);
  Finish(*waiting);
  EXPECT_EQ(handler_.waiting(), 1U);
  waiting.reset();
  EXPECT_EQ(handler_.waiting(), 0U);
  authorizer_.may_answer.set_value();
  submitted_.get_future().get().done({});
  EXPECT_EQ(answer.get().status, 200);
}

TEST_F(ExecutionTest, EndsTheJobOfAClientThatLeaves) {
  auto exchange = Begin(JobHead(), kJob);
  auto answer = Finish(*exchange);
  const Submitted submitted = submitted_.get_future().get();
  exchange.reset();
  destroyed_.get_future().wait();
  submitted.done({});  // too late, and harmless
  EXPECT_THROW(answer.get(), std::future_error) << "the answer was given after all";
}

}  // namespace
}  // namespace zerocloud::execution
