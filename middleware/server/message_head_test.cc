#include "middleware/server/message_head.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

namespace zerocloud::server {
namespace {

using Kind = BodyFraming::Kind;

ResponseHeadParts Response(std::string_view head, bool is_head_request = false) {
  auto parsed = ParseResponseHead(head, is_head_request);
  const auto* parts = std::get_if<ResponseHeadParts>(&parsed);
  return parts != nullptr ? *parts : ResponseHeadParts{};
}

bool IsRefused(std::string_view head) {
  return std::holds_alternative<HeadObjection>(ParseResponseHead(head, false));
}

TEST(RequestHead, LeavesMethodsTargetsAndValuesAsTheyAre) {
  auto parsed = ParseRequestHead(
      "GETorHEAD_base //a/./../%2f#x?q=\xff%zz HTTP/1.0\r\nX-Object-Meta-Gr\xc3\xbc\xc3\x9f: \xff "
      "\x01\r\n"
      "Empty: \t\r\n\r\n");
  const auto* parts = std::get_if<RequestHeadParts>(&parsed);
  ASSERT_NE(parts, nullptr);
  EXPECT_EQ(parts->method, "GETorHEAD_base");
  EXPECT_EQ(parts->target, "//a/./../%2f#x?q=\xff%zz");
  EXPECT_TRUE(parts->is_http_10);
  EXPECT_FALSE(parts->wants_keep_alive);
  EXPECT_EQ(parts->headers.Get("X-Object-Meta-Gr\xc3\xbc\xc3\x9f"), "\xff \x01");
  EXPECT_EQ(parts->headers.Get("empty"), "");
}

TEST(RequestHead, KeepsAliveAsVersionAndFieldsSay) {
  const auto keeps = [](std::string_view head) {
    const auto parsed = ParseRequestHead(head);
    return std::get<RequestHeadParts>(parsed).wants_keep_alive;
  };
  EXPECT_TRUE(keeps("GET / HTTP/1.1\r\n\r\n"));
  EXPECT_FALSE(keeps("GET / HTTP/1.1\r\nConnection: te, Close\r\n\r\n"));
  EXPECT_TRUE(keeps("GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n"));
  EXPECT_FALSE(keeps("GET / HTTP/1.0\r\nConnection: keep-alive\r\nConnection: close\r\n\r\n"));
}

TEST(ResponseHead, FramesBodiesAsTheStatusAndTheFieldsSay) {
  EXPECT_EQ(Response("HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\n").framing.length, 7U);
  EXPECT_EQ(Response("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").framing.kind, Kind::kNone);
  EXPECT_EQ(Response("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n").framing.kind,
            Kind::kChunked);
  const ResponseHeadParts unframed = Response("HTTP/1.1 200 OK\r\n\r\n");
  EXPECT_EQ(unframed.framing.kind, Kind::kUntilEnd);
  EXPECT_FALSE(unframed.can_keep_alive);
  for (const char* status : {"100 Continue", "199 x", "204 No Content", "304 Not Modified"}) {
    const ResponseHeadParts parts =
        Response("HTTP/1.1 " + std::string(status) + "\r\nContent-Length: 7\r\n\r\n");
    EXPECT_EQ(parts.framing.kind, Kind::kNone) << status;
    EXPECT_TRUE(parts.can_keep_alive);
  }
  EXPECT_EQ(Response("HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\n", true).framing.kind,
            Kind::kNone);
}

TEST(ResponseHead, KnowsWhenTheConnectionEnds) {
  EXPECT_FALSE(Response("HTTP/1.0 414 Too Long\r\nContent-Length: 0\r\n\r\n").can_keep_alive);
  EXPECT_FALSE(
      Response("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n").can_keep_alive);
}

TEST(ResponseHead, RefusesWhatTwoReadersCouldFrameDifferently) {
  EXPECT_TRUE(IsRefused("HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n"));
  EXPECT_TRUE(
      IsRefused("HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n"));
  EXPECT_TRUE(IsRefused("HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n"));
  EXPECT_TRUE(IsRefused("HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n"));
  for (const char* line : {"SSH-2.0-x", "HTTP/1.1 20 OK", "HTTP/1.1 2000 OK", "HTTP/1.1 099 x",
                           "HTTP/2 200 OK", "HTTP/1.1 2x0 OK", "HTTP/1.1 200OK", ""}) {
    EXPECT_TRUE(IsRefused(std::string(line) + "\r\n\r\n")) << line;
  }
  EXPECT_EQ(Response("HTTP/1.1 200\r\n\r\n").status, 200);
  EXPECT_EQ(Response("HTTP/1.1 200 \r\n\r\n").status, 200);
}

}  // namespace
}  // namespace zerocloud::server
