// A server in a test: handlers that echo, and connections to it without a port.
#pragma once

#include <gtest/gtest.h>
#include <sys/socket.h>

#include <functional>
#include <memory>
#include <span>
#include <string>
#include <utility>

#include "middleware/server/server.h"
#include "middleware/server/testing/raw_client.h"

namespace zerocloud::server {

inline http::Response Text(int status, std::string text) {
  http::Response response;
  response.status = status;
  response.text = std::move(text);
  return response;
}

// Collects the body and answers with it.
class EchoExchange : public http::Exchange {
 public:
  Result<void> Write(std::span<const std::byte> chunk) override {
    for (const std::byte byte : chunk) body_.push_back(static_cast<char>(byte));
    if (body_.starts_with("refuse")) return Fail(ErrorCode::kInvalid, "I refuse.");
    return {};
  }
  void Finish(std::function<void(http::Response)> done) override { done(Text(200, body_)); }

 private:
  std::string body_;
};

class FunctionHandler : public http::Handler {
 public:
  using Function = std::function<Begun(const http::RequestHead&)>;
  explicit FunctionHandler(Function function) : function_(std::move(function)) {}
  Begun Begin(const http::RequestHead& head) override { return function_(head); }

 private:
  Function function_;
};

inline http::Handler::Begun TargetOrEcho(const http::RequestHead& head) {
  const bool has_body = head.is_chunked || head.content_length.value_or(0) > 0;
  if (has_body && head.target == "/refused") return Text(403, "no");
  if (has_body) return std::make_unique<EchoExchange>();
  return Text(200, head.method + " " + head.target);
}

// A server without a listener, and clients on the other ends of socket pairs.
class ServerTest : public ::testing::Test {
 protected:
  void StartWith(FunctionHandler::Function function, Limits limits = {}) {
    handler_ = std::make_unique<FunctionHandler>(std::move(function));
    Options options;
    options.address.clear();
    options.settings.limits = limits;
    auto server = Server::Start(options, *handler_);
    ASSERT_TRUE(server.has_value()) << server.error().message;
    server_ = std::move(*server);
  }

  RawClient Connect() {
    int ends[2] = {-1, -1};
    EXPECT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
    server_->Adopt(UniqueFd(ends[0]));
    return RawClient(UniqueFd(ends[1]));
  }

  // What a fresh connection answers to `bytes`.
  RawResponse Ask(std::string_view bytes) {
    RawClient client = Connect();
    client.Send(bytes);
    return client.ReadOrEmpty();
  }

  std::unique_ptr<FunctionHandler> handler_;
  std::unique_ptr<Server> server_;
};

}  // namespace zerocloud::server
