// Bodies that go from socket to socket without being copied: the same bytes, and the same ends.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/resource.h>

#include <future>
#include <string>

#include "middleware/server/testing/front.h"

namespace zerocloud::server {
namespace {

using ::testing::HasSubstr;

// No two pieces of it are alike.
std::string Body(std::size_t size) {
  std::string body;
  body.reserve(size + 8);
  for (std::uint64_t number = 1; body.size() < size; number = number * 6364136223846793005U + 1) {
    body.append(std::to_string(number >> 40U));
  }
  body.resize(size);
  return body;
}

constexpr std::size_t kLarge = 5'000'003;

std::string Head(std::string_view line) {
  return std::string(line) + "\r\nContent-Length: " + std::to_string(kLarge) + "\r\n\r\n";
}

TEST_F(ForwardingTest, PassesLargeBodiesAndThenTheNextRequestByteForByte) {
  const std::string body = Body(kLarge);
  ScriptedUpstream upstream(1, [&body](RawClient& peer, int) {
    for (int i = 0; i < 3; ++i) {
      EXPECT_THAT(ReadHead(peer), HasSubstr("PUT /large HTTP/1.1\r\n"));
      EXPECT_TRUE(peer.Take(body.size()) == body);
      peer.Send("HTTP/1.1 201 Created\r\nContent-Length: 0\r\n\r\n");
      EXPECT_THAT(ReadHead(peer), HasSubstr("GET /large HTTP/1.1\r\n"));
      peer.Send(Head("HTTP/1.1 200 OK") + body);
    }
  });
  StartFront(upstream.port());
  RawClient client = Connect();
  for (int i = 0; i < 3; ++i) {
    // The next request right behind the body: it must not go up as a part of it.
    client.Send(Head("PUT /large HTTP/1.1") + body + "GET /large HTTP/1.1\r\n\r\n");
    EXPECT_EQ(client.ReadOrEmpty().status, 201);
    EXPECT_TRUE(client.ReadOrEmpty().body == body);
  }
}

TEST_F(ForwardingTest, PassesLargeBodiesWhereThereIsNoDescriptorForAPipe) {
#if __has_feature(undefined_behavior_sanitizer)
  GTEST_SKIP()
      << "UBSan asks by a pipe whether memory can be read, and without one takes it for bad";
#endif
  const std::string body = Body(kLarge);
  ScriptedUpstream upstream(1, [&body](RawClient& peer, int) {
    ReadHead(peer);
    peer.Send("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    ReadHead(peer);
    EXPECT_TRUE(peer.Take(body.size()) == body);
    peer.Send(Head("HTTP/1.1 200 OK") + body);
  });
  StartFront(upstream.port());
  RawClient client = Connect();
  client.Send("GET /small HTTP/1.1\r\n\r\n");
  EXPECT_EQ(client.ReadOrEmpty().status, 200);
  // Every connection that is needed is there now.
  rlimit before{};
  ASSERT_EQ(::getrlimit(RLIMIT_NOFILE, &before), 0);
  const rlimit none = {3, before.rlim_max};
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &none), 0);
  client.Send(Head("PUT /large HTTP/1.1") + body);
  const std::string answer = client.ReadOrEmpty().body;
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &before), 0);
  EXPECT_TRUE(answer == body);
}

TEST_F(ForwardingTest, CutsALargeAnswerWhereTheUpstreamDid) {
  const std::string body = Body(kLarge);
  ScriptedUpstream upstream(1, [&body](RawClient& peer, int) {
    ReadHead(peer), peer.Send(Head("HTTP/1.1 200 OK") + body.substr(1));
  });
  StartFront(upstream.port());
  RawClient client = Connect();
  client.Send("GET / HTTP/1.1\r\n\r\n");
  const std::string all = client.ReadAll();
  EXPECT_TRUE(client.has_ended());
  // Never completed with anything else.
  EXPECT_LT(all.size() - all.find("\r\n\r\n") - 4, kLarge);
}

TEST_F(ForwardingTest, EndsALargeUploadWhoseClientLeaves) {
  const std::string body = Body(kLarge);
  std::string came;
  {
    ScriptedUpstream upstream(1, [&came](RawClient& peer, int) {
      ReadHead(peer);
      came = peer.ReadAll();
      EXPECT_TRUE(peer.has_ended());
    });
    StartFront(upstream.port());
    RawClient client = Connect();
    client.Send(Head("PUT / HTTP/1.1") + body.substr(1));
  }
  EXPECT_LT(came.size(), kLarge);
  EXPECT_TRUE(body.substr(1).starts_with(came));
}

TEST_F(ForwardingTest, AnswersDuringALargeUploadAndThenTakesTheRest) {
  const std::string body = Body(kLarge);
  ScriptedUpstream upstream(1, [](RawClient& peer, int) {
    ReadHead(peer);
    peer.Take(kLarge / 2);
    peer.Send("HTTP/1.1 401 Unauthorized\r\nContent-Length: 2\r\n\r\nno");
    peer.Take(kLarge - kLarge / 2);
    EXPECT_THAT(ReadHead(peer), HasSubstr("GET /next HTTP/1.1\r\n"));
    peer.Send("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nnext");
  });
  StartFront(upstream.port());
  RawClient client = Connect();
  client.Send(Head("PUT / HTTP/1.1") + body.substr(0, kLarge - 1'000'000));
  EXPECT_EQ(client.ReadOrEmpty().body, "no");
  client.Send(body.substr(kLarge - 1'000'000) + "GET /next HTTP/1.1\r\n\r\n");
  EXPECT_EQ(client.ReadOrEmpty().body, "next");
}

TEST_F(ForwardingTest, RefusesMoreInformationalAnswersThanAnyServerSends) {
  ScriptedUpstream upstream(1, [](RawClient& peer, int) {
    ReadHead(peer);
    for (int i = 0; i < 150 && peer.Send("HTTP/1.1 103 Early Hints\r\n\r\n"); ++i) {
    }
    peer.Send("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
  });
  StartFront(upstream.port());
  RawClient client = Connect();
  client.Send("GET / HTTP/1.1\r\n\r\n");
  EXPECT_EQ(client.ReadOrEmpty().status, 502);
}

}  // namespace
}  // namespace zerocloud::server
