#include "middleware/upstream/http_client.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <future>
#include <string>
#include <vector>

#include "middleware/server/testing/deaf_listener.h"
#include "middleware/server/testing/front.h"

namespace zerocloud::upstream {
namespace {

using server::DeafListener;
using server::RawClient;
using server::ReadHead;
using server::ScriptedUpstream;
using ::testing::HasSubstr;

std::string Origin(std::uint16_t port) { return "http://127.0.0.1:" + std::to_string(port); }

// Of a port that nobody listens at.
std::uint16_t RefusingPort() {
  return ScriptedUpstream(0, [](RawClient&, int) {}).port();
}

ScriptedUpstream::Script Answering(std::string body) {
  return [body = std::move(body)](RawClient& peer, int) {
    while (!ReadHead(peer).empty()) {
      peer.Send("HTTP/1.1 200 OK\r\nContent-Length: " + std::to_string(body.size()) + "\r\n\r\n" +
                body);
    }
  };
}

// The body, or what went wrong.
std::string Get(HttpClient& client) {
  std::string body;
  ClientRequest request;
  request.url = "/";
  request.on_body = KeepBody(body, 1000, {ErrorCode::kLimitExceeded, "too long"});
  const Result<ClientReply> reply = client.Send(request);
  return reply.has_value() ? body : std::string(ToString(reply.error().code));
}

ClientOptions To(std::vector<std::string> origins) {
  return {.connect_timeout = std::chrono::milliseconds(100), .origins = std::move(origins)};
}

TEST(HttpClient, GoesOnToTheNextOriginWhenOneRefusesOrIsDown) {
  const DeafListener down;
  ScriptedUpstream up(1, Answering("a"));
  {
    const auto client =
        HttpClient::Start(To({Origin(RefusingPort()), Origin(down.port()), Origin(up.port())}))
            .value();
    EXPECT_EQ(Get(*client), "a");
    EXPECT_EQ(Get(*client), "a");
  }
}

TEST(HttpClient, SaysWhyNoOriginIsReached) {
  const DeafListener down;
  const auto client = HttpClient::Start(To({Origin(down.port())})).value();
  EXPECT_EQ(Get(*client), ToString(ErrorCode::kTimeout));
  client->Change(To({Origin(RefusingPort())}));
  EXPECT_EQ(Get(*client), ToString(ErrorCode::kUnavailable));
}

TEST(HttpClient, DoesNotRepeatWhatAnOriginMayHaveDone) {
  std::atomic<int> requests = 0;
  ScriptedUpstream breaks(1, [&](RawClient& peer, int) {
    EXPECT_FALSE(ReadHead(peer).empty());
    ++requests;
  });
  ScriptedUpstream up(0, [](RawClient&, int) {});
  const auto client = HttpClient::Start(To({Origin(breaks.port()), Origin(up.port())})).value();
  EXPECT_EQ(Get(*client), ToString(ErrorCode::kUnavailable));
  EXPECT_EQ(requests, 1);
}

TEST(HttpClient, UsesOtherOptionsForRequestsThatBegin) {
  ScriptedUpstream first(1, Answering("a"));
  ScriptedUpstream second(1, Answering("b"));
  {
    const auto client = HttpClient::Start(To({Origin(first.port())})).value();
    EXPECT_EQ(Get(*client), "a");
    client->Change(To({Origin(second.port())}));
    EXPECT_EQ(Get(*client), "b");
  }
}

TEST(HttpClient, CarriesManyRequestsAtOnce) {
  constexpr int kRequests = 40;
  ScriptedUpstream up(1, Answering(std::string(900, 'x')));
  {
    ClientOptions options = To({Origin(up.port())});
    options.requests_at_once = 1;  // the others wait for its connection
    const auto client = HttpClient::Start(std::move(options)).value();
    std::vector<std::future<std::string>> bodies;
    bodies.reserve(kRequests);
    for (int i = 0; i < kRequests; ++i) {
      bodies.push_back(std::async(std::launch::async, [&client] { return Get(*client); }));
    }
    for (auto& body : bodies) EXPECT_EQ(body.get(), std::string(900, 'x'));
  }
}

TEST(HttpClient, EndsARequestWhoseServerFallsSilent) {
  std::promise<void> may_leave;
  ScriptedUpstream silent(1, [&](RawClient& peer, int) {
    EXPECT_FALSE(ReadHead(peer).empty());
    peer.Send("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nab");
    may_leave.get_future().wait();
  });
  ClientOptions options = To({Origin(silent.port())});
  options.stall_timeout = std::chrono::seconds(1);
  const auto client = HttpClient::Start(std::move(options)).value();
  EXPECT_EQ(Get(*client), ToString(ErrorCode::kTimeout));
  may_leave.set_value();
}

TEST(HttpClient, EndsATransferThatItsReaderRefuses) {
  ScriptedUpstream up(1, Answering(std::string(5000, 'x')));
  {
    const auto client = HttpClient::Start(To({Origin(up.port())})).value();
    EXPECT_EQ(Get(*client), ToString(ErrorCode::kLimitExceeded));
  }
}

}  // namespace
}  // namespace zerocloud::upstream
