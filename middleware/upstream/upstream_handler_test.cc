#include "middleware/upstream/upstream_handler.h"

#include <gtest/gtest.h>

#include <future>
#include <memory>
#include <string>

#include "middleware/http/reply.h"
#include "middleware/server/server.h"

namespace zerocloud::upstream {
namespace {

class Endpoint : public http::Handler {
 public:
  Begun Begin(const http::RequestHead&) override { return http::TextResponse(status, text); }
  int status = 200;
  std::string text;
};

class UpstreamHandlerTest : public ::testing::Test {
 protected:
  void SetUp() override {
    auto server = server::Server::Start({}, endpoint_);
    ASSERT_TRUE(server.has_value());
    server_ = std::move(*server);
    auto client = HttpClient::Start({});
    ASSERT_TRUE(client.has_value());
    client_ = std::move(*client);
    handler_ = std::make_unique<UpstreamHandler>(
        *client_, "http://127.0.0.1:" + std::to_string(server_->port()), "zerocloud", "{\"a\": 1}");
  }

  http::Response Info() {
    http::RequestHead head;
    head.method = "GET";
    head.target = "/info";
    auto begun = handler_->Begin(head);
    auto& exchange = std::get<std::unique_ptr<http::Exchange>>(begun);
    std::promise<http::Response> promise;
    exchange->Finish(
        [&promise](http::Response response) { promise.set_value(std::move(response)); });
    return promise.get_future().get();
  }

  Endpoint endpoint_;
  std::unique_ptr<server::Server> server_;
  std::unique_ptr<HttpClient> client_;
  std::unique_ptr<UpstreamHandler> handler_;
};

TEST_F(UpstreamHandlerTest, LeavesRequestsToTheUpstream) {
  http::RequestHead head;
  head.method = "GET";
  head.target = "/v1/a";
  EXPECT_TRUE(std::holds_alternative<http::Forward>(handler_->Begin(head)));
}

TEST_F(UpstreamHandlerTest, AddsItsSectionToInfo) {
  endpoint_.text = R"({"swift": {"version": "2"}})";
  EXPECT_EQ(Info().text, R"({"swift": {"version": "2"}, "zerocloud": {"a": 1}})");
  endpoint_.text = "{ }";
  EXPECT_EQ(Info().text, R"({"zerocloud": {"a": 1}})");
}

TEST_F(UpstreamHandlerTest, HasItsSectionWithoutTheUpstreams) {
  endpoint_.text = "no";
  for (const int status : {200, 403, 404, 405}) {
    endpoint_.status = status;
    EXPECT_EQ(Info().text, R"({"zerocloud": {"a": 1}})");
  }
  server_.reset();
  EXPECT_EQ(Info().status, 502);
}

TEST_F(UpstreamHandlerTest, DoesNotAnswerForAnUpstreamThatCannotTell) {
  endpoint_.text = "not now";
  for (const int status : {401, 498, 500, 503}) {
    endpoint_.status = status;
    EXPECT_EQ(Info().status, status);
  }
}

TEST(UpstreamUrls, AreHttpHostAndPort) {
  const auto first = [](std::string_view urls) { return ParseUpstreamUrls(urls).value().front(); };
  EXPECT_EQ(first("http://swift:8080").port, 8080);
  EXPECT_EQ(first("http://swift:8080/").origin, "http://swift:8080");
  EXPECT_EQ(first("HTTP://10.0.0.1").port, 80);
  EXPECT_EQ(first("http://[::1]:81").host, "::1");
  EXPECT_EQ(first("https://swift").port, 443);
  EXPECT_TRUE(first("https://swift:8443").is_tls);
  EXPECT_EQ(first("https://swift:8443").origin, "https://swift:8443");
  const auto several = ParseUpstreamUrls("http://a:1, https://b:2,http://c").value();
  ASSERT_EQ(several.size(), 3U);
  EXPECT_EQ(several[1].host, "b");
  for (const char* wrong :
       {"", ",", "swift:8080", "ftp://swift", "http://", "http:///", "http://:80", "http://a:0",
        "http://a:65536", "http://a:80x", "http://a/v1", "http://u@a", "http://a?b", "http://[::1",
        "http://[::1]x", "http://a b", "http://a,b"}) {
    EXPECT_FALSE(ParseUpstreamUrls(wrong).has_value()) << wrong;
  }
}

}  // namespace
}  // namespace zerocloud::upstream
