// The connections to upstreams: kept, replaced, limited, shared out.
#include "middleware/server/upstream.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <boost/asio/co_spawn.hpp>
#include <exception>
#include <future>
#include <initializer_list>
#include <map>
#include <memory>
#include <string>
#include <utility>

#include "middleware/server/testing/deaf_listener.h"
#include "middleware/server/testing/front.h"
#include "middleware/server/testing/listening.h"

namespace zerocloud::server {
namespace {

using ::testing::StartsWith;
using namespace std::chrono_literals;

class UpstreamTest : public ForwardingTest {
 protected:
  void StartBefore(std::initializer_list<std::uint16_t> upstream_ports,
                   std::chrono::milliseconds connect_timeout = 5s) {
    Settings settings;
    settings.upstream.emplace().connect_timeout = connect_timeout;
    for (const std::uint16_t port : upstream_ports) {
      settings.upstream->endpoints.push_back({.host = "127.0.0.1", .port = port});
    }
    StartWith(std::move(settings));
  }
};

TEST_F(UpstreamTest, KeepsConnectionsAndReplacesThoseThatDied) {
  ScriptedUpstream upstream(2, [](RawClient& peer, int connection) {
    ReadHead(peer);
    peer.Send("HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\na");
    ReadHead(peer);
    if (connection == 0) return;  // closes although a request has come
    peer.Send("HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nb");
  });
  StartFront(upstream.port());
  RawClient client = Connect();
  for (const char* expected : {"a", "a", "b"}) {
    client.Send("GET / HTTP/1.1\r\n\r\n");
    EXPECT_EQ(client.ReadOrEmpty().body, expected);
  }
}

// All that was sent of such a request is still at hand.
TEST_F(UpstreamTest, SendsARequestWithAShortBodyAgain) {
  ScriptedUpstream upstream(2, [](RawClient& peer, int connection) {
    const auto put = [&peer] {
      EXPECT_THAT(ReadHead(peer), StartsWith("PUT /o "));
      EXPECT_EQ(peer.Take(3), "abc");
    };
    put();
    peer.Send("HTTP/1.1 201 Created\r\nContent-Length: 1\r\n\r\n" + std::to_string(connection));
    if (connection == 0) put();  // and closes
  });
  StartFront(upstream.port());
  RawClient client = Connect();
  for (const char* expected : {"0", "1"}) {
    client.Send("PUT /o HTTP/1.1\r\nContent-Length: 3\r\n\r\nabc");
    EXPECT_EQ(client.ReadOrEmpty().body, expected);
  }
}

TEST_F(UpstreamTest, NeverSendsAgainWhatMeansSomethingElseTheSecondTime) {
  ScriptedUpstream upstream(1, [](RawClient& peer, int) {
    ReadHead(peer);
    peer.Send("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    EXPECT_THAT(ReadHead(peer), StartsWith("POST "));  // and closes
  });
  StartFront(upstream.port());
  RawClient client = Connect();
  client.Send("GET / HTTP/1.1\r\n\r\n");
  EXPECT_EQ(client.ReadOrEmpty().status, 200);
  client.Send("POST / HTTP/1.1\r\nContent-Length: 0\r\n\r\n");
  EXPECT_EQ(client.ReadOrEmpty().status, 502);
}

// A listener that answers every request on every connection with its name, as its own thread.
ScriptedUpstream::Script NamedServer(std::string name) {
  return [name = std::move(name)](RawClient& peer, int) {
    while (!ReadHead(peer).empty()) {
      peer.Send("HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n" + name);
    }
  };
}

TEST_F(UpstreamTest, UsesUpstreamsInTurnAndLeavesDeadOnesOut) {
  std::uint16_t dead_port = 0;
  {
    const ScriptedUpstream gone(0, [](RawClient&, int) {});
    dead_port = gone.port();
  }
  ScriptedUpstream a(1, NamedServer("a"));
  ScriptedUpstream b(1, NamedServer("b"));
  StartBefore({a.port(), dead_port, b.port()});
  std::map<std::string, int> answers;
  {
    // Two at once, so that neither waits for the other's connection.
    RawClient first = Connect();
    RawClient second = Connect();
    for (int i = 0; i < 10; ++i) {
      first.Send("GET / HTTP/1.1\r\n\r\n");
      ++answers[first.ReadOrEmpty().body];
      second.Send("GET / HTTP/1.1\r\n\r\n");
      ++answers[second.ReadOrEmpty().body];
    }
  }
  front_.reset();
  EXPECT_EQ(answers["a"] + answers["b"], 20);
  EXPECT_GT(answers["a"], 4);
  EXPECT_GT(answers["b"], 4);
}

TEST_F(UpstreamTest, GoesOnToTheNextWhenOneIsDown) {
  const DeafListener down;
  ScriptedUpstream up(1, NamedServer("a"));
  StartBefore({down.port(), up.port()}, 100ms);
  {
    RawClient client = Connect();
    for (int i = 0; i < 4; ++i) {
      client.Send("GET / HTTP/1.1\r\n\r\n");
      EXPECT_EQ(client.ReadOrEmpty().body, "a");
    }
  }
  front_.reset();
}

// The same once for each connection, so that none is kept.
ScriptedUpstream::Script NamedOnce(std::string name) {
  return [name = std::move(name)](RawClient& peer, int) {
    if (ReadHead(peer).empty()) return;
    peer.Send("HTTP/1.1 200 OK\r\nContent-Length: 1\r\nConnection: close\r\n\r\n" + name);
  };
}

TEST_F(UpstreamTest, LeavesOneOutForAWhileAndThenUsesItAgain) {
  constexpr std::size_t kMost = 10'000;
  for (const std::chrono::seconds left_out : {std::chrono::seconds(1h), 0s}) {
    Listening listener = BindToLoopback();
    ScriptedUpstream up(kMost, NamedOnce("a"));
    Settings settings;
    settings.upstream.emplace().left_out_for = left_out;
    settings.upstream->endpoints = {{.host = "127.0.0.1", .port = listener.port},
                                    {.host = "127.0.0.1", .port = up.port()}};
    StartWith(std::move(settings));
    RawClient client = Connect();
    const auto ask = [&client] {
      client.Send("GET / HTTP/1.1\r\n\r\n");
      return client.ReadOrEmpty().body;
    };
    EXPECT_EQ(ask() + ask(), "aa");
    ASSERT_EQ(::listen(listener.socket.get(), 8), 0);
    ScriptedUpstream back(std::move(listener), 1, NamedOnce("b"));
    const bool is_used = left_out == 0s;
    std::string answers;
    // Its clock may be some milliseconds late.
    while (answers.size() < (is_used ? kMost : 10) && !answers.contains('b')) answers += ask();
    EXPECT_EQ(answers.contains('b'), is_used) << answers;
    client.Close();
    front_.reset();
  }
}

TEST_F(UpstreamTest, SaysThatNoneCanBeReachedInTime) {
  const DeafListener down;
  const DeafListener too;
  StartBefore({down.port(), too.port()}, 50ms);
  RawClient client = Connect();
  client.Send("GET / HTTP/1.1\r\n\r\n");
  const RawResponse answer = client.ReadOrEmpty();
  EXPECT_EQ(answer.status, 504);
  EXPECT_TRUE(answer.headers.Has("X-Trans-Id"));
}

TEST_F(UpstreamTest, WaitsForAConnectionWhenAllAreTaken) {
  std::promise<void> begun;
  std::promise<void> may_answer;
  ScriptedUpstream upstream(1, [&](RawClient& peer, int) {
    ReadHead(peer);
    begun.set_value();
    may_answer.get_future().wait();
    peer.Send("HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\na");
    ReadHead(peer);
    peer.Send("HTTP/1.1 200 OK\r\nContent-Length: 1\r\nConnection: close\r\n\r\nb");
  });
  Settings settings;
  settings.upstream = UpstreamOptions{.endpoints = {{.host = "127.0.0.1", .port = upstream.port()}},
                                      .connections = 1};
  StartWith(settings);
  RawClient first = Connect();
  first.Send("GET / HTTP/1.1\r\n\r\n");
  begun.get_future().wait();
  RawClient second = Connect();
  second.Send("GET / HTTP/1.1\r\n\r\n");
  may_answer.set_value();
  EXPECT_EQ(first.ReadOrEmpty().body, "a");
  EXPECT_EQ(second.ReadOrEmpty().body, "b");
}

// Each thread keeps its own; here the second connection of a client is on the other thread.
TEST_F(UpstreamTest, ClosesIdleConnectionsOfOtherThreadsRatherThanExceedItsLimit) {
  threads_ = 2;
  ScriptedUpstream upstream(2, [](RawClient& peer, int connection) {
    ReadHead(peer);
    peer.Send("HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n" + std::to_string(connection));
    peer.ReadAll();  // the second is not accepted before the first has ended
  });
  Settings settings;
  settings.upstream = UpstreamOptions{.endpoints = {{.host = "127.0.0.1", .port = upstream.port()}},
                                      .connections = 1};
  StartWith(settings);
  RawClient first = Connect();
  first.Send("GET / HTTP/1.1\r\n\r\n");
  EXPECT_EQ(first.ReadOrEmpty().body, "0");
  RawClient second = Connect();
  second.Send("GET / HTTP/1.1\r\n\r\n");
  EXPECT_EQ(second.ReadOrEmpty().body, "1");
  front_.reset();
}

TEST_F(UpstreamTest, AnswersThatAllConnectionsAreTaken) {
  std::promise<void> begun;
  ScriptedUpstream upstream(1, [&begun](RawClient& peer, int) {
    ReadHead(peer);
    begun.set_value();
    peer.ReadAll();
  });
  Settings settings;
  settings.upstream = UpstreamOptions{.endpoints = {{.host = "127.0.0.1", .port = upstream.port()}},
                                      .connect_timeout = 20ms,
                                      .connections = 1};
  StartWith(std::move(settings));
  RawClient first = Connect();
  first.Send("GET / HTTP/1.1\r\n\r\n");
  begun.get_future().wait();
  RawClient second = Connect();
  second.Send("GET / HTTP/1.1\r\n\r\n");
  const RawResponse response = second.ReadOrEmpty();
  EXPECT_EQ(response.status, 503);
  EXPECT_TRUE(response.headers.Has("Retry-After"));
  first.Close();
}

TEST(Upstream, WakesWhoCanUseThePlaceThatIsFree) {
  net::io_context io{1};
  const Listening late = BindToLoopback();
  const Listening other = ListenOnLoopback(8);
  UpstreamOptions options{.endpoints = {}, .connect_timeout = 5s, .connections = 1};
  for (const std::uint16_t port : {late.port, other.port}) {
    options.endpoints.push_back({.host = "127.0.0.1", .port = port});
  }
  Upstream upstream(options, nullptr, 1);
  using Result = std::unique_ptr<Upstream::Connected>;  // null: not yet
  const auto connect = [&](Result& result) {
    net::co_spawn(io, upstream.Connect(io.get_executor(), 0, false),
                  [&result](const std::exception_ptr&, Upstream::Connected connected) {
                    result = std::make_unique<Upstream::Connected>(std::move(connected));
                  });
  };
  const auto run_until = [&io](const auto& is_done) {
    const auto deadline = std::chrono::steady_clock::now() + 20s;
    while (!is_done() && std::chrono::steady_clock::now() < deadline) {
      io.restart();
      io.run_one_for(1ms);
    }
    ASSERT_TRUE(is_done());
  };
  Result busy;  // at the other one, after it was refused by the late one
  connect(busy);
  run_until([&] { return busy != nullptr; });
  Result refused;  // by the late one too, and waits for the other
  connect(refused);
  run_until([&] { return upstream.waiting() == 1; });
  ASSERT_EQ(::listen(late.socket.get(), 8), 0);
  Result short_lived;
  connect(short_lived);
  run_until([&] { return short_lived != nullptr; });
  EXPECT_NE(short_lived->lease.wire, nullptr);
  Result waiting;  // for either
  connect(waiting);
  run_until([&] { return upstream.waiting() == 2; });
  short_lived.reset();
  run_until([&] { return waiting != nullptr; });
  EXPECT_FALSE(waiting->is_full);
  EXPECT_NE(waiting->lease.wire, nullptr);
  EXPECT_EQ(refused, nullptr);
  busy.reset();
  run_until([&] { return refused != nullptr; });
  EXPECT_NE(refused->lease.wire, nullptr);
}

TEST_F(UpstreamTest, ChangesItsUpstreamWhileRequestsAreUnderWay) {
  std::promise<void> begun;
  std::promise<void> may_answer;
  ScriptedUpstream old(1, [&](RawClient& peer, int) {
    ReadHead(peer);
    begun.set_value();
    may_answer.get_future().wait();
    peer.Send("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nold");
  });
  ScriptedUpstream fresh(1, NamedServer("n"));
  StartFront(old.port());
  RawClient client = Connect();
  client.Send("GET / HTTP/1.1\r\n\r\n");
  begun.get_future().wait();
  Settings settings;
  settings.upstream = UpstreamOptions{.endpoints = {{.host = "127.0.0.1", .port = fresh.port()}}};
  EXPECT_TRUE(front_->Change(settings).has_value());
  settings.tls_certificate = settings.tls_key = "/nonexistent";
  EXPECT_FALSE(front_->Change(settings).has_value());
  may_answer.set_value();
  EXPECT_EQ(client.ReadOrEmpty().body, "old");
  client.Send("GET / HTTP/1.1\r\n\r\n");
  EXPECT_EQ(client.ReadOrEmpty().body, "n");
  client.Close();
  front_.reset();
}

}  // namespace
}  // namespace zerocloud::server
