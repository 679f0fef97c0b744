#include "middleware/server/server.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <future>
#include <memory>
#include <string>
#include <thread>
#include <utility>

#include "middleware/server/testing/served.h"

namespace zerocloud::server {
namespace {

using ::testing::HasSubstr;
using ::testing::MatchesRegex;
using ::testing::Not;
using namespace std::chrono_literals;

// Bytes in pieces of at most `step`; then the end, or an error.
class StringSource : public http::BodySource {
 public:
  StringSource(std::string text, std::size_t step, bool is_broken = false)
      : text_(std::move(text)), step_(step), is_broken_(is_broken) {}

  Result<std::size_t> Read(std::span<std::byte> buffer) override {
    const std::size_t count = std::min({step_, buffer.size(), text_.size() - at_});
    if (count == 0 && is_broken_) return Fail(ErrorCode::kInternal, "the disk is gone");
    std::memcpy(buffer.data(), text_.data() + at_, count);
    at_ += count;
    return count;
  }

 private:
  std::string text_;
  std::size_t step_;
  bool is_broken_;
  std::size_t at_ = 0;
};

// Hands `done` out and tells when it is destroyed.
class PendingExchange : public http::Exchange {
 public:
  struct Probe {
    std::promise<std::function<void(http::Response)>> done;
    std::promise<void> destroyed;
  };
  explicit PendingExchange(Probe& probe) : probe_(probe) {}
  ~PendingExchange() override { probe_.destroyed.set_value(); }
  PendingExchange(const PendingExchange&) = delete;
  PendingExchange& operator=(const PendingExchange&) = delete;

  Result<void> Write(std::span<const std::byte>) override { return {}; }
  void Finish(std::function<void(http::Response)> done) override {
    probe_.done.set_value(std::move(done));
  }

 private:
  Probe& probe_;
};

TEST_F(ServerTest, AnswersSeveralRequestsOnOneConnection) {
  StartWith(TargetOrEcho);
  RawClient client = Connect();
  for (const char* target : {"/a", "/b%20c", "/%00?x=%2F"}) {
    client.Send("GET " + std::string(target) + " HTTP/1.1\r\nHost: h\r\n\r\n");
    const RawResponse response = client.ReadOrEmpty();
    EXPECT_EQ(response.status, 200);
    EXPECT_EQ(response.body, "GET " + std::string(target));
    EXPECT_FALSE(response.headers.Has("Connection"));
  }
}

TEST_F(ServerTest, AnswersPipelinedRequestsInOrder) {
  StartWith(TargetOrEcho);
  RawClient client = Connect();
  std::string all;
  for (int i = 0; i < 50; ++i) {
    all += "PUT /x HTTP/1.1\r\nContent-Length: 2\r\n\r\n" + std::to_string(10 + i);
    all += "GET /" + std::to_string(i) + " HTTP/1.1\r\n\r\n";
  }
  client.Send(all);
  for (int i = 0; i < 50; ++i) {
    EXPECT_EQ(client.ReadOrEmpty().body, std::to_string(10 + i));
    EXPECT_EQ(client.ReadOrEmpty().body, "GET /" + std::to_string(i));
  }
}

TEST_F(ServerTest, PassesOnMethodsItDoesNotKnow) {
  StartWith(TargetOrEcho);
  EXPECT_EQ(Ask("GETorHEAD_base /x HTTP/1.1\r\n\r\n").body, "GETorHEAD_base /x");
}

TEST_F(ServerTest, ReadsBodiesOfEitherFraming) {
  StartWith(TargetOrEcho);
  RawClient client = Connect();
  const std::string big(300'000, 'x');
  client.Send("PUT /o HTTP/1.1\r\nContent-Length: 300000\r\n\r\n" + big);
  EXPECT_EQ(client.ReadOrEmpty().body, big);
  client.Send("PUT /o HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n3;e=1\r\nabc\r\n");
  client.Send("4\r\ndefg\r\n0\r\nTrailer: t\r\n\r\n");
  EXPECT_EQ(client.ReadOrEmpty().body, "abcdefg");
  client.Send("GET /after HTTP/1.1\r\n\r\n");
  EXPECT_EQ(client.ReadOrEmpty().body, "GET /after");
}

TEST_F(ServerTest, CallsForTheBodyOnlyWhenItIsWanted) {
  StartWith(TargetOrEcho);
  RawClient client = Connect();
  client.Send("PUT /o HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n");
  EXPECT_EQ(client.ReadOrEmpty().status, 100);
  client.Send("abc");
  EXPECT_EQ(client.ReadOrEmpty().body, "abc");

  client.Send("PUT /refused HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n");
  const RawResponse refused = client.ReadOrEmpty();
  EXPECT_EQ(refused.status, 403);
  EXPECT_EQ(refused.headers.Get("Connection"), "close");
  EXPECT_TRUE(client.IsClosedByPeer());
}

TEST_F(ServerTest, RefusesUnknownExpectations) {
  StartWith(TargetOrEcho);
  EXPECT_EQ(Ask("GET / HTTP/1.1\r\nExpect: miracles\r\n\r\n").status, 417);
}

TEST_F(ServerTest, ReadsAwayAShortUnwantedBody) {
  StartWith(TargetOrEcho);
  RawClient client = Connect();
  client.Send("PUT /refused HTTP/1.1\r\nContent-Length: 5\r\n\r\nhello");
  EXPECT_EQ(client.ReadOrEmpty().status, 403);
  client.Send("GET /next HTTP/1.1\r\n\r\n");
  EXPECT_EQ(client.ReadOrEmpty().body, "GET /next");
}

TEST_F(ServerTest, ClosesAfterALongUnwantedBody) {
  Limits limits;
  limits.drained_bytes = 1000;
  StartWith(TargetOrEcho, limits);
  for (const char* framing : {"Content-Length: 1001", "Transfer-Encoding: chunked"}) {
    RawClient client = Connect();
    client.Send("PUT /refused HTTP/1.1\r\n" + std::string(framing) + "\r\n\r\n");
    const RawResponse response = client.ReadOrEmpty();
    EXPECT_EQ(response.status, 403);
    EXPECT_EQ(response.headers.Get("Connection"), "close");
    EXPECT_TRUE(client.IsClosedByPeer());
  }
}

TEST_F(ServerTest, AnswersAnExchangeThatRefusesAPiece) {
  StartWith(TargetOrEcho);
  const RawResponse response =
      Ask("PUT /o HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n6\r\nrefuse\r\n");
  EXPECT_EQ(response.status, 400);
  EXPECT_EQ(response.body, "I refuse.\n");
}

TEST_F(ServerTest, FramesBodilessResponses) {
  StartWith([](const http::RequestHead& head) -> http::Handler::Begun {
    http::Response response;
    if (head.target == "/204") response.status = 204;
    if (head.target == "/304") response.status = 304;
    if (head.method == "HEAD") response.declared_length = 1234;
    response.text = "not to be seen";
    return response;
  });
  RawClient client = Connect();
  client.Send("HEAD /o HTTP/1.1\r\n\r\n");
  EXPECT_EQ(client.ReadOrEmpty(true).headers.Get("Content-Length"), "1234");
  client.Send("GET /204 HTTP/1.1\r\n\r\n");
  EXPECT_FALSE(client.ReadOrEmpty().headers.Has("Content-Length"));
  client.Send("GET /304 HTTP/1.1\r\n\r\n");
  EXPECT_EQ(client.ReadOrEmpty().status, 304);
  client.Send("GET /o HTTP/1.1\r\n\r\n");
  EXPECT_EQ(client.ReadOrEmpty().body, "not to be seen");
}

TEST_F(ServerTest, StreamsBodiesOfKnownAndUnknownSize) {
  std::string big(500'000, 'b');
  big += "end";
  StartWith([&big](const http::RequestHead& head) -> http::Handler::Begun {
    http::Response response;
    response.body = std::make_unique<StringSource>(big, 7777);
    if (head.target == "/sized") response.body_size = big.size();
    return response;
  });
  RawClient client = Connect();
  client.Send("GET /sized HTTP/1.1\r\n\r\n");
  RawResponse response = client.ReadOrEmpty();
  EXPECT_EQ(response.headers.Get("Content-Length"), "500003");
  EXPECT_TRUE(response.body == big);
  client.Send("GET /unsized HTTP/1.1\r\n\r\n");
  response = client.ReadOrEmpty();
  EXPECT_EQ(response.headers.Get("Transfer-Encoding"), "chunked");
  EXPECT_TRUE(response.body == big);
  client.Send("GET /unsized HTTP/1.0\r\n\r\n");
  response = client.ReadOrEmpty();
  EXPECT_FALSE(response.headers.Has("Transfer-Encoding"));
  EXPECT_TRUE(response.body == big);
}

TEST_F(ServerTest, BreaksTheConnectionWhenABodyBreaks) {
  StartWith([](const http::RequestHead& head) -> http::Handler::Begun {
    http::Response response;
    response.body = std::make_unique<StringSource>("abc", 2, head.target == "/error");
    if (head.target != "/error") response.body_size = 4;  // one more than there is
    return response;
  });
  for (const char* target : {"/error", "/short"}) {
    RawClient client = Connect();
    client.Send("GET " + std::string(target) + " HTTP/1.1\r\n\r\n");
    const std::string all = client.ReadAll();
    EXPECT_THAT(all, HasSubstr("200 OK"));
    EXPECT_THAT(all, Not(HasSubstr("\r\n0\r\n")));
  }
}

TEST_F(ServerTest, NeverSendsAHeaderThatSplitsAResponse) {
  StartWith([](const http::RequestHead&) -> http::Handler::Begun {
    http::Response response = Text(200, "x");
    response.headers.Add("X-Object-Meta-A", "a\r\nSet-Cookie: b");
    response.headers.Add("Content-Length", "17");
    return response;
  });
  const RawResponse response = Ask("GET / HTTP/1.1\r\n\r\n");
  EXPECT_FALSE(response.headers.Has("Set-Cookie"));
  EXPECT_EQ(response.headers.Get("Content-Length"), "1");
}

TEST_F(ServerTest, MarksEveryResponseWithATransactionId) {
  StartWith(TargetOrEcho);
  const RawResponse response = Ask("GET / HTTP/1.1\r\nX-Trans-Id-Extra: a-1;\xff\r\n\r\n");
  EXPECT_THAT(std::string(response.headers.Get("X-Trans-Id").value_or("")),
              MatchesRegex("tx[0-9a-f]+-[0-9a-f]+-a-1"));
  EXPECT_TRUE(response.headers.Has("Date"));
  EXPECT_THAT(std::string(Ask("nonsense\r\n\r\n").headers.Get("X-Trans-Id").value_or("")),
              MatchesRegex("tx[0-9a-f]+-[0-9a-f]+"));
}

TEST_F(ServerTest, SaysKeepAliveOnlyToThoseWhoAsk) {
  StartWith(TargetOrEcho);
  EXPECT_EQ(Ask("GET / HTTP/1.1\r\nConnection: keep-alive\r\n\r\n").headers.Get("Connection"),
            "keep-alive");
  EXPECT_EQ(Ask("GET / HTTP/1.1\r\nConnection: close\r\n\r\n").headers.Get("Connection"), "close");
  EXPECT_EQ(Ask("GET / HTTP/1.0\r\n\r\n").headers.Get("Connection"), "close");
}

TEST_F(ServerTest, BoundsTheHead) {
  Limits limits;
  limits.request_line_bytes = 100;
  limits.head_bytes = 1000;
  limits.head_fields = 5;
  StartWith(TargetOrEcho, limits);
  EXPECT_EQ(Ask("GET /" + std::string(200, 'x') + " HTTP/1.1\r\n\r\n").status, 414);
  EXPECT_EQ(Ask("GET /" + std::string(200, 'x')).status, 414);
  EXPECT_EQ(Ask("GET / HTTP/1.1\r\nA: " + std::string(1000, 'x') + "\r\n\r\n").status, 431);
  EXPECT_EQ(Ask("GET / HTTP/1.1\r\nA:1\r\nA:2\r\nA:3\r\nA:4\r\nA:5\r\nA:6\r\n\r\n").status, 431);
  EXPECT_EQ(Ask("GET / HTTP/1.1\r\nA:1\r\nA:2\r\nA:3\r\nA:4\r\nA:5\r\n\r\n").status, 200);
}

TEST_F(ServerTest, DoesNotWaitForeverForAPeer) {
  Limits limits;
  limits.idle_timeout = limits.head_timeout = limits.read_timeout = 30ms;
  StartWith(TargetOrEcho, limits);
  RawClient idle = Connect();
  EXPECT_EQ(idle.ReadAll(), "");
  for (const char* start : {"GET / HT", "PUT / HTTP/1.1\r\nContent-Length: 3\r\n\r\nab"}) {
    RawClient slow = Connect();
    slow.Send(start);
    EXPECT_EQ(slow.ReadAll(), "");
  }
}

TEST_F(ServerTest, AnswersFromAnotherThread) {
  PendingExchange::Probe probe;
  StartWith([&probe](const http::RequestHead&) -> http::Handler::Begun {
    return std::make_unique<PendingExchange>(probe);
  });
  RawClient client = Connect();
  client.Send("POST /v1/a HTTP/1.1\r\nContent-Length: 2\r\n\r\n[]");
  auto done = probe.done.get_future().get();
  std::thread worker([&done] { done(Text(200, "from a worker")); });
  EXPECT_EQ(client.ReadOrEmpty().body, "from a worker");
  worker.join();
  probe.destroyed.get_future().wait();
}

TEST_F(ServerTest, KeepsWhatAClientSendsAheadOfAnAnswer) {
  PendingExchange::Probe probe;
  StartWith([&probe](const http::RequestHead& head) -> http::Handler::Begun {
    if (head.target == "/slow") return std::make_unique<PendingExchange>(probe);
    return TargetOrEcho(head);
  });
  RawClient client = Connect();
  client.Send("GET /slow HTTP/1.1\r\n\r\n");
  auto done = probe.done.get_future().get();
  client.Send("GET /ahead HTTP/1.1\r\n\r\n");
  done(Text(200, "slow"));
  EXPECT_EQ(client.ReadOrEmpty().body, "slow");
  EXPECT_EQ(client.ReadOrEmpty().body, "GET /ahead");
}

TEST_F(ServerTest, DestroysTheExchangeOfAClientThatLeaves) {
  PendingExchange::Probe probe;
  StartWith([&probe](const http::RequestHead&) -> http::Handler::Begun {
    return std::make_unique<PendingExchange>(probe);
  });
  RawClient client = Connect();
  client.Send("GET /slow HTTP/1.1\r\n\r\n");
  auto done = probe.done.get_future().get();
  client.Close();
  probe.destroyed.get_future().wait();
  done(Text(200, "too late"));  // must be harmless
}

TEST_F(ServerTest, DestroysTheExchangeOfAnUploadCutShort) {
  PendingExchange::Probe probe;
  StartWith([&probe](const http::RequestHead&) -> http::Handler::Begun {
    return std::make_unique<PendingExchange>(probe);
  });
  RawClient client = Connect();
  client.Send("PUT /o HTTP/1.1\r\nContent-Length: 10\r\n\r\nabc");
  client.Close();
  probe.destroyed.get_future().wait();
  // Never told that the body was whole.
  EXPECT_EQ(probe.done.get_future().wait_for(0s), std::future_status::timeout);
}

TEST_F(ServerTest, LeavingRacesWithTheAnswerSafely) {
  for (int i = 0; i < 200; ++i) {
    PendingExchange::Probe probe;
    StartWith([&probe](const http::RequestHead&) -> http::Handler::Begun {
      return std::make_unique<PendingExchange>(probe);
    });
    RawClient client = Connect();
    client.Send("GET /slow HTTP/1.1\r\n\r\n");
    auto done = probe.done.get_future().get();
    std::thread worker([&done] { done(Text(200, "now")); });
    client.Close();
    worker.join();
    probe.destroyed.get_future().wait();
    server_.reset();
  }
}

TEST_F(ServerTest, StopsByLettingRequestsEndAndClosingIdleConnections) {
  PendingExchange::Probe probe;
  StartWith([&probe](const http::RequestHead& head) -> http::Handler::Begun {
    if (head.target == "/slow") return std::make_unique<PendingExchange>(probe);
    return TargetOrEcho(head);
  });
  RawClient idle = Connect();
  idle.Send("GET / HTTP/1.1\r\n\r\n");
  EXPECT_EQ(idle.ReadOrEmpty().status, 200);
  RawClient busy = Connect();
  busy.Send("GET /slow HTTP/1.1\r\n\r\n");
  auto done = probe.done.get_future().get();
  std::thread stopper([this] { server_->Stop(1h); });
  EXPECT_TRUE(idle.IsClosedByPeer());
  done(Text(200, "last words"));
  const RawResponse response = busy.ReadOrEmpty();
  EXPECT_EQ(response.body, "last words");
  EXPECT_EQ(response.headers.Get("Connection"), "close");
  busy.Close();
  stopper.join();
  EXPECT_EQ(server_->connection_count(), 0U);
}

TEST_F(ServerTest, StopCancelsWhatOutlivesTheGrace) {
  PendingExchange::Probe probe;
  StartWith([&probe](const http::RequestHead&) -> http::Handler::Begun {
    return std::make_unique<PendingExchange>(probe);
  });
  RawClient client = Connect();
  client.Send("GET /slow HTTP/1.1\r\n\r\n");
  auto done = probe.done.get_future().get();
  server_->Stop(1ms);
  EXPECT_EQ(probe.destroyed.get_future().wait_for(0s), std::future_status::ready);
  EXPECT_EQ(client.ReadAll(), "");
}

TEST_F(ServerTest, RefusesConnectionsPastItsLimit) {
  Limits limits;
  limits.connections = 1;
  StartWith(TargetOrEcho, limits);
  RawClient first = Connect();
  first.Send("GET / HTTP/1.1\r\n\r\n");
  EXPECT_EQ(first.ReadOrEmpty().status, 200);
  EXPECT_EQ(Connect().ReadOrEmpty().status, 503);
}

TEST_F(ServerTest, RecordsEveryRequest) {
  std::promise<RequestRecord> recorded;
  handler_ = std::make_unique<FunctionHandler>(TargetOrEcho);
  Options options;
  options.address.clear();
  std::string line;  // set before the promise
  options.on_request = [&recorded, &line](const RequestRecord& record) {
    line = record.head->method + " " + record.head->target;
    recorded.set_value(record);
  };
  auto server = Server::Start(options, *handler_);
  ASSERT_TRUE(server.has_value());
  server_ = std::move(*server);
  RawClient client = Connect();
  client.Send("PUT /o HTTP/1.1\r\nContent-Length: 3\r\n\r\nabc");
  const RequestRecord record = recorded.get_future().get();
  EXPECT_EQ(line, "PUT /o");
  EXPECT_EQ(record.status, 200);
  EXPECT_EQ(record.bytes_in, 3U);
  EXPECT_EQ(record.bytes_out, 3U);
}

TEST(Server, ListensOnAFreePort) {
  FunctionHandler handler(TargetOrEcho);
  auto server = Server::Start({}, handler);
  ASSERT_TRUE(server.has_value()) << server.error().message;
  RawClient client = RawClient::Connect((*server)->port());
  ASSERT_TRUE(client.is_open());
  client.Send("GET /x HTTP/1.1\r\n\r\n");
  EXPECT_EQ(client.ReadOrEmpty().body, "GET /x");
  Options same;
  same.port = (*server)->port();
  const auto second = Server::Start(same, handler);
  ASSERT_FALSE(second.has_value());
  EXPECT_EQ(second.error().code, ErrorCode::kConflict);
}

TEST(Server, RefusesAnAddressThatIsNone) {
  FunctionHandler handler(TargetOrEcho);
  Options options;
  options.address = "not an address";
  EXPECT_EQ(Server::Start(options, handler).error().code, ErrorCode::kInvalid);
}

}  // namespace
}  // namespace zerocloud::server
