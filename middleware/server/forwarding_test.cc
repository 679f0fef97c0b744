// A front server passing requests on to a scripted upstream.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <future>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "middleware/server/testing/front.h"
#include "middleware/server/testing/held_back.h"

namespace zerocloud::server {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;
using namespace std::chrono_literals;

TEST_F(ForwardingTest, PassesHeadsOnByteForByteWithoutTheHopsFields) {
  std::string seen;
  {
    ScriptedUpstream upstream(1, [&seen](RawClient& peer, int) {
      seen = ReadHead(peer);
      peer.Send(
          "HTTP/1.1 299 As You Wish\r\nX-oDd-Name:  two  words \r\nEmpty:\r\nSet: a\r\nSet: b\r\n"
          "Keep-Alive: 5\r\nConnection: X-Hop\r\nX-Hop: 1\r\nContent-Length: 2\r\n\r\nok");
    });
    StartFront(upstream.port());
    RawClient client = Connect();
    client.Send(
        "GETorHEAD_base /v1/a//./../%2f%00?q=%zz HTTP/1.1\r\nhost: original\r\nX-MiXed: V\r\n"
        "X-Empty:\r\nConnection: keep-alive, X-Mine\r\nX-Mine: 1\r\nTE: trailers\r\n\r\n");
    const RawResponse response = client.ReadOrEmpty();
    EXPECT_THAT(response.head, StartsWith("HTTP/1.1 299 As You Wish\r\nX-oDd-Name: two  words\r\n"
                                          "Empty: \r\nSet: a\r\nSet: b\r\nContent-Length: 2\r\n"
                                          "X-Trans-Id: tx"));
    EXPECT_THAT(response.head, Not(HasSubstr("Hop")));
    EXPECT_EQ(response.body, "ok");
  }
  EXPECT_EQ(seen,
            "GETorHEAD_base /v1/a//./../%2f%00?q=%zz HTTP/1.1\r\nhost: original\r\nX-MiXed: V\r\n"
            "X-Empty: \r\n\r\n");
}

TEST_F(ForwardingTest, StreamsBodiesOfEveryFraming) {
  const std::string big(1'000'000, 'u');
  ScriptedUpstream upstream(1, [&big](RawClient& peer, int) {
    std::string head = ReadHead(peer);
    EXPECT_THAT(head, HasSubstr("Content-Length: 1000000\r\n"));
    std::string body;
    while (body.size() < big.size() && peer.Fill()) body += peer.Buffered();
    EXPECT_TRUE(body == big);
    peer.Send("HTTP/1.1 201 Created\r\nContent-Length: 1000000\r\n\r\n" + big);
    head = ReadHead(peer);
    EXPECT_THAT(head, HasSubstr("Transfer-Encoding: chunked\r\n"));
    EXPECT_EQ(peer.ReadChunkedBody().value_or("?"), "abcdefg");
    peer.Send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4;x=y\r\nchun\r\n3\r\nked\r\n");
    peer.Send("0\r\nTrailer: t\r\n\r\n");
    ReadHead(peer);
    peer.Send("HTTP/1.1 200 OK\r\n\r\nuntil the end");
  });
  StartFront(upstream.port());
  RawClient client = Connect();
  client.Send("PUT /o HTTP/1.1\r\nContent-Length: 1000000\r\n\r\n" + big);
  RawResponse response = client.ReadOrEmpty();
  EXPECT_EQ(response.status, 201);
  EXPECT_TRUE(response.body == big);
  client.Send("PUT /o HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n");
  client.Send("4\r\ndefg\r\n0\r\n\r\n");
  response = client.ReadOrEmpty();
  EXPECT_EQ(response.body, "chunked");
  client.Send("GET /o HTTP/1.1\r\n\r\n");
  response = client.ReadOrEmpty();
  EXPECT_EQ(response.body, "until the end");
}

TEST_F(ForwardingTest, PassesContinueEndToEnd) {
  ScriptedUpstream upstream(2, [](RawClient& peer, int connection) {
    EXPECT_THAT(ReadHead(peer), HasSubstr("Expect: 100-continue\r\n"));
    if (connection == 0) {
      peer.Send("HTTP/1.1 100 Continue\r\n\r\n");
      EXPECT_TRUE(peer.Fill());
      EXPECT_EQ(peer.Buffered(), "abc");
      peer.Send("HTTP/1.1 201 Created\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
    } else {
      peer.Send("HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
    }
  });
  StartFront(upstream.port());
  RawClient client = Connect();
  client.Send("PUT /o HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n");
  EXPECT_EQ(client.ReadOrEmpty().status, 100);
  client.Send("abc");
  EXPECT_EQ(client.ReadOrEmpty().status, 201);
  client.Send("PUT /o HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n");
  const RawResponse refused = client.ReadOrEmpty();
  EXPECT_EQ(refused.status, 401);
  EXPECT_EQ(refused.headers.Get("Connection"), "close");
}

TEST_F(ForwardingTest, PassesAnEarlyAnswerBackDuringAnUpload) {
  ScriptedUpstream upstream(1, [](RawClient& peer, int) {
    ReadHead(peer);
    peer.Send("HTTP/1.1 413 Too Large\r\nContent-Length: 3\r\nConnection: close\r\n\r\nbig");
    peer.ReadAll();
  });
  StartFront(upstream.port());
  RawClient client = Connect();
  client.Send("PUT /o HTTP/1.1\r\nContent-Length: 1000000\r\n\r\nonly a start");
  const RawResponse response = client.ReadOrEmpty();
  EXPECT_EQ(response.status, 413);
  EXPECT_EQ(response.body, "big");
  EXPECT_EQ(response.headers.Get("Connection"), "close");
}

TEST_F(ForwardingTest, AnswersHeadRequestsWithoutABody) {
  ScriptedUpstream upstream(1, [](RawClient& peer, int) {
    ReadHead(peer);
    peer.Send("HTTP/1.1 200 OK\r\nContent-Length: 12345\r\n\r\n");
    ReadHead(peer);
    peer.Send("HTTP/1.1 304 Not Modified\r\nEtag: e\r\n\r\n");
  });
  StartFront(upstream.port());
  RawClient client = Connect();
  client.Send("HEAD / HTTP/1.1\r\n\r\n");
  EXPECT_EQ(client.ReadOrEmpty(true).headers.Get("Content-Length"), "12345");
  client.Send("GET / HTTP/1.1\r\n\r\n");
  EXPECT_EQ(client.ReadOrEmpty().status, 304);
}

TEST_F(ForwardingTest, TellsOfAnUpstreamThatFails) {
  std::uint16_t dead_port = 0;
  {
    const ScriptedUpstream gone(0, [](RawClient&, int) {});
    dead_port = gone.port();
  }
  StartFront(dead_port);
  RawClient client = Connect();
  client.Send("GET / HTTP/1.1\r\n\r\n");
  RawResponse response = client.ReadOrEmpty();
  EXPECT_EQ(response.status, 502);
  EXPECT_TRUE(response.headers.Has("X-Trans-Id"));
  EXPECT_THAT(response.body, HasSubstr("cannot be reached"));

  ScriptedUpstream upstream(2, [](RawClient& peer, int connection) {
    ReadHead(peer);
    if (connection == 0) peer.Send("SSH-2.0-OpenSSH\r\n\r\n");
  });
  StartFront(upstream.port());
  for (const char* sentence : {"did not answer with HTTP", "without an answer"}) {
    RawClient next = Connect();
    next.Send("GET / HTTP/1.1\r\n\r\n");
    response = next.ReadOrEmpty();
    EXPECT_EQ(response.status, 502);
    EXPECT_THAT(response.body, HasSubstr(sentence));
  }
}

TEST_F(ForwardingTest, DoesNotWaitForeverForAnUpstream) {
  ScriptedUpstream upstream(2, [](RawClient& peer, int) { peer.ReadAll(); });
  StartFront(upstream.port(), 30ms);
  RawClient get = Connect();
  get.Send("GET / HTTP/1.1\r\n\r\n");
  EXPECT_EQ(get.ReadOrEmpty().status, 504);
  RawClient put = Connect();
  put.Send("PUT / HTTP/1.1\r\nContent-Length: 3\r\n\r\nabc");
  EXPECT_EQ(put.ReadOrEmpty().status, 504);
}

TEST_F(ForwardingTest, CutsABodyThatTheUpstreamCut) {
  ScriptedUpstream upstream(1, [](RawClient& peer, int) {
    ReadHead(peer);
    peer.Send("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf");
  });
  StartFront(upstream.port());
  RawClient client = Connect();
  client.Send("GET / HTTP/1.1\r\n\r\n");
  EXPECT_THAT(client.ReadAll(), ::testing::EndsWith("\r\n\r\nhalf"));
  EXPECT_TRUE(client.has_ended());
}

TEST_F(ForwardingTest, LeavesNothingBehindWhenAClientLeaves) {
  std::string rest = "not read";
  std::promise<void> begun;
  {
    ScriptedUpstream upstream(1, [&](RawClient& peer, int) {
      ReadHead(peer);
      begun.set_value();
      rest = peer.ReadAll();
      EXPECT_TRUE(peer.has_ended());
    });
    StartFront(upstream.port());
    RawClient client = Connect();
    client.Send("PUT /o HTTP/1.1\r\nContent-Length: 10\r\n\r\nabc");
    begun.get_future().wait();
    client.Close();
  }
  EXPECT_EQ(rest, "abc");  // then the upstream's connection was closed, too
}

// Swift reads what follows the last chunk as the next request.
TEST_F(ForwardingTest, DropsTrailersSoThatTheNextPooledRequestIsIntact) {
  std::string seen;
  {
    ScriptedUpstream upstream(1, [&seen](RawClient& peer, int) {
      ReadHead(peer);
      while (!peer.Has("0\r\n\r\n") && peer.Fill()) {
      }
      EXPECT_EQ(peer.Buffered(), "3\r\nabc\r\n0\r\n\r\n");
      peer.Send("HTTP/1.1 201 Created\r\nContent-Length: 0\r\n\r\n");
      seen = ReadHead(peer);
      peer.Send("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    });
    StartFront(upstream.port());
    RawClient first = Connect();
    first.Send(
        "PUT /o HTTP/1.1\r\nTransfer-Encoding: chunked\r\nTrailer: X-T\r\n\r\n3;a=b\r\nabc\r\n0\r\n"
        "X-T: GET /smuggled HTTP/1.1\r\n\r\n");
    EXPECT_EQ(first.ReadOrEmpty().status, 201);
    first.Send("GET /next HTTP/1.1\r\n\r\n");
    EXPECT_EQ(first.ReadOrEmpty().status, 200);
  }
  EXPECT_THAT(seen, StartsWith("GET /next HTTP/1.1\r\n"));
}

// As Swift does without us: the answer comes at once, the body is read and thrown away, and the
// connection lives on.
TEST_F(ForwardingTest, GoesOnUploadingAfterAnEarlyAnswer) {
  const std::string big(3'000'000, 'u');
  ScriptedUpstream upstream(1, [&big](RawClient& peer, int) {
    ReadHead(peer);
    peer.Send("HTTP/1.1 401 Unauthorized\r\nContent-Length: 2\r\n\r\nno");
    EXPECT_TRUE(peer.Take(big.size()) == big);
    EXPECT_THAT(ReadHead(peer), StartsWith("GET /next "));
    peer.Send("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nnext");
  });
  StartFront(upstream.port());
  RawClient client = Connect();
  client.Send("PUT /o HTTP/1.1\r\nContent-Length: 3000000\r\n\r\n" + big.substr(0, 1000));
  EXPECT_EQ(client.ReadOrEmpty().status, 401);
  client.Send(big.substr(1000));
  client.Send("GET /next HTTP/1.1\r\n\r\n");
  EXPECT_EQ(client.ReadOrEmpty().body, "next");
}

TEST_F(ForwardingTest, FramesInterimAndBodylessAnswers) {
  ScriptedUpstream upstream(1, [](RawClient& peer, int) {
    ReadHead(peer);
    peer.Send("HTTP/1.1 102 Processing\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n");
    peer.Send("HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n");
    ReadHead(peer);
    peer.Send("HTTP/1.1 304 Not Modified\r\nContent-Length: 100\r\n\r\n");
    ReadHead(peer);
    peer.Send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");  // of a HEAD
    ReadHead(peer);
    peer.Send("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nlast");
  });
  StartFront(upstream.port());
  RawClient client = Connect();
  client.Send("DELETE /o HTTP/1.1\r\n\r\nGET /o HTTP/1.1\r\n\r\n");  // pipelined
  client.Send("HEAD /o HTTP/1.1\r\n\r\nGET /last HTTP/1.1\r\n\r\n");
  EXPECT_EQ(client.ReadOrEmpty().status, 204);
  EXPECT_EQ(client.ReadOrEmpty().status, 304);
  EXPECT_EQ(client.ReadOrEmpty(true).status, 200);
  EXPECT_EQ(client.ReadOrEmpty().body, "last");
}

TEST_F(ForwardingTest, ClosesTheUpstreamWhenAClientLeavesBeforeTheAnswer) {
  std::promise<void> begun;
  std::promise<std::string> rest;
  ScriptedUpstream upstream(1, [&](RawClient& peer, int) {
    ReadHead(peer);
    begun.set_value();
    rest.set_value(peer.ReadAll());
    EXPECT_TRUE(peer.has_ended());
  });
  StartFront(upstream.port(), 1h);
  RawClient client = Connect();
  client.Send("GET /slow HTTP/1.1\r\n\r\n");
  begun.get_future().wait();
  client.Close();
  EXPECT_EQ(rest.get_future().get(), "");
}

TEST_F(ForwardingTest, SendsHeadsBeforeTheirBodiesComeAndHoldsNoMoreThanAPiece) {
  std::promise<void> has_head;
  std::size_t sent = 0;
  {
    ScriptedUpstream upstream(1, [&](RawClient& peer, int) {
      ReadHead(peer);
      peer.Send("HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n");
      has_head.get_future().wait();
      const std::string piece(100'000, 'x');
      peer.DoNotWaitLong();  // its sends fail when nobody takes the bytes
      while (sent < 1'000'000'000 && peer.Send(piece)) sent += piece.size();
    });
    StartFront(upstream.port());
    RawClient client = Connect();
    client.Send("GET / HTTP/1.1\r\n\r\n");
    while (!client.Has("\r\n\r\n") && client.Fill()) {
    }
    has_head.set_value();
    // and reads no more
  }
  // What sockets and one piece hold.
  EXPECT_LT(sent, 50'000'000U);
}

TEST_F(ForwardingTest, TakesNoMoreOfAnUploadThanTheUpstreamTakes) {
  std::size_t sent = 0;
  {
    std::promise<void> is_enough;
    ScriptedUpstream upstream(1, [&is_enough](RawClient& peer, int) {
      ReadHead(peer);
      is_enough.get_future().wait();  // and reads no more
    });
    StartFront(upstream.port());
    RawClient client = Connect();
    client.Send("PUT /o HTTP/1.1\r\nContent-Length: 1000000000\r\n\r\n");
    client.DoNotWaitLong();
    const std::string piece(100'000, 'x');
    while (sent < 1'000'000'000 && client.Send(piece)) sent += piece.size();
    is_enough.set_value();
  }
  EXPECT_LT(sent, 50'000'000U);
}

TEST_F(ForwardingTest, RefusesAnswersThatTwoReadersCouldFrameDifferently) {
  const std::vector<std::string> answers = {
      "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
      "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
      "HTTP/1.1 200 OK\r\nFolded: a\r\n b\r\nContent-Length: 0\r\n\r\n",
      "HTTP/1.1 200 OK\nContent-Length: 0\n\n",
      "HTTP/1.1 200 OK\r\nContent-Length : 1\r\n\r\na",
      "HTTP/1.1 200 OK\r\nA: " + std::string(300'000, 'x') + "\r\n\r\n"};
  ScriptedUpstream upstream(static_cast<int>(answers.size()), [&](RawClient& peer, int i) {
    ReadHead(peer);
    peer.Send(answers[static_cast<std::size_t>(i)]);
  });
  StartFront(upstream.port());
  for (const std::string& answer : answers) {
    RawClient client = Connect();
    client.Send("GET / HTTP/1.1\r\n\r\n");
    const RawResponse response = client.ReadOrEmpty();
    EXPECT_EQ(response.status, 502) << answer.substr(0, 100);
    EXPECT_TRUE(response.headers.Has("X-Trans-Id"));
  }
}

TEST_F(ForwardingTest, PassesLargeHeadsBack) {
  const std::string value(60'000, 'm');
  ScriptedUpstream upstream(1, [&value](RawClient& peer, int) {
    ReadHead(peer);
    peer.Send("HTTP/1.1 204 No Content\r\nX-Account-Meta-A: " + value + "\r\n\r\n");
  });
  StartFront(upstream.port());
  RawClient client = Connect();
  client.Send("HEAD /v1/a HTTP/1.1\r\n\r\n");
  EXPECT_EQ(client.ReadOrEmpty(true).headers.Get("X-Account-Meta-A"), value);
}

TEST_F(ForwardingTest, AnswersTheNonsenseOfAnUploadAndClosesBothSides) {
  std::string rest = "not read";
  {
    ScriptedUpstream upstream(1, [&rest](RawClient& peer, int) {
      ReadHead(peer);
      rest = peer.ReadAll();
    });
    StartFront(upstream.port());
    RawClient client = Connect();
    client.Send("PUT /o HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabcd\r\n0\r\n\r\n");
    const RawResponse response = client.ReadOrEmpty();
    EXPECT_EQ(response.status, 400);
    EXPECT_EQ(response.headers.Get("Connection"), "close");
  }
  EXPECT_THAT(rest, Not(HasSubstr("0\r\n\r\n")));  // so that it is no whole body
}

TEST_F(ForwardingTest, TellsWhoseRequestItIs) {
  std::vector<std::string> seen;
  {
    ScriptedUpstream upstream(1, [&seen](RawClient& peer, int) {
      for (int i = 0; i < 2; ++i) {
        seen.push_back(ReadHead(peer));
        peer.Send("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
      }
    });
    Settings settings;
    settings.upstream =
        UpstreamOptions{.endpoints = {{.host = "127.0.0.1", .port = upstream.port()}}};
    settings.expects_proxy_header = true;
    StartWith(std::move(settings));
    RawClient first = Connect();
    first.Send("PROXY TCP4 192.0.2.7 198.51.100.1 56324 443\r\nGET / HTTP/1.1\r\nHost: h\r\n\r\n");
    EXPECT_EQ(first.ReadOrEmpty().status, 200);
    RawClient second = Connect();
    second.Send(
        "PROXY TCP6 2001:db8::7 ::1 1 2\r\nGET / HTTP/1.1\r\nHost: h\r\n"
        "x-forwarded-for: 203.0.113.9\r\nA: b\r\n\r\n");
    EXPECT_EQ(second.ReadOrEmpty().status, 200);
    RawClient liar = Connect();
    liar.Send("GET / HTTP/1.1\r\n\r\n");
    EXPECT_TRUE(liar.IsClosedByPeer());
  }
  ASSERT_EQ(seen.size(), 2U);
  EXPECT_EQ(seen[0], "GET / HTTP/1.1\r\nHost: h\r\nX-Forwarded-For: 192.0.2.7\r\n\r\n");
  EXPECT_EQ(
      seen[1],
      "GET / HTTP/1.1\r\nHost: h\r\nA: b\r\nX-Forwarded-For: 203.0.113.9, 2001:db8::7\r\n\r\n");
}

TEST_F(ForwardingTest, StopCancelsWhatIsUnderWay) {
  ScriptedUpstream upstream(1, [](RawClient& peer, int) { peer.ReadAll(); });
  StartFront(upstream.port());
  RawClient client = Connect();
  client.Send("PUT / HTTP/1.1\r\nContent-Length: 3\r\n\r\nabc");
  front_->Stop(20ms);
  EXPECT_EQ(front_->connection_count(), 0U);
}

// Both ways of passing a body on, copied and spliced, and one that comes after its head.
TEST_F(ForwardingTest, AcknowledgesABodyBeforeItIsWhole) {
  for (const std::size_t size :
       {std::size_t{5'000}, std::size_t{100'000}, std::size_t{1'000'000}}) {
    ScriptedUpstream upstream(1, AnswersHeldBack(size));
    StartFront(upstream.port());
    RawClient client = Connect();
    EXPECT_LT(FastestHeldBack([&] {
                client.Send("GET / HTTP/1.1\r\n\r\n");
                EXPECT_EQ(client.ReadOrEmpty().body.size(), size);
              }),
              kNotDelayed);
  }
}

}  // namespace
}  // namespace zerocloud::server
