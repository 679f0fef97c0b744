#include <gtest/gtest.h>

#include <atomic>
#include <ostream>
#include <string>

#include "middleware/server/testing/served.h"

namespace zerocloud::server {
namespace {

// Requests that two HTTP readers could take apart differently, each with what is wrong.
struct Nonsense {
  const char* name;
  std::string bytes;
  int status = 400;
};
// The name of the test; without it gtest prints the bytes of the struct.
void PrintTo(const Nonsense& nonsense, std::ostream* out) { *out << nonsense.name; }

class ServerNonsenseTest : public ServerTest, public ::testing::WithParamInterface<Nonsense> {};

TEST_P(ServerNonsenseTest, IsRefusedAndTheConnectionCloses) {
  std::atomic<int> begun = 0;
  StartWith([&begun](const http::RequestHead& head) -> http::Handler::Begun {
    ++begun;
    return TargetOrEcho(head);
  });
  RawClient client = Connect();
  client.Send(GetParam().bytes);
  const RawResponse response = client.ReadOrEmpty();
  EXPECT_EQ(response.status, GetParam().status) << response.head;
  EXPECT_EQ(response.headers.Get("Connection"), "close");
  EXPECT_GT(response.body.size(), 10U);
  EXPECT_TRUE(client.IsClosedByPeer()) << "there was a second answer";
}

INSTANTIATE_TEST_SUITE_P(
    Smuggling, ServerNonsenseTest,
    ::testing::Values(
        Nonsense{"ConflictingLengths",
                 "PUT / HTTP/1.1\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabcd"},
        Nonsense{"RepeatedLength",
                 "PUT / HTTP/1.1\r\nContent-Length: 3\r\nContent-Length: 3\r\n\r\nabc"},
        Nonsense{"ListOfLengths", "PUT / HTTP/1.1\r\nContent-Length: 3, 4\r\n\r\nabcd"},
        Nonsense{"NegativeLength", "PUT / HTTP/1.1\r\nContent-Length: -3\r\n\r\nabc"},
        Nonsense{"SignedLength", "PUT / HTTP/1.1\r\nContent-Length: +3\r\n\r\nabc"},
        Nonsense{"HexLength", "PUT / HTTP/1.1\r\nContent-Length: 0x3\r\n\r\nabc"},
        Nonsense{"HugeLength",
                 "PUT / HTTP/1.1\r\nContent-Length: 99999999999999999999999\r\n\r\nabc"},
        Nonsense{"LengthThenChunked",
                 "PUT / HTTP/1.1\r\nContent-Length: 3\r\nTransfer-Encoding: "
                 "chunked\r\n\r\n0\r\n\r\n"},
        Nonsense{"ChunkedThenLength",
                 "PUT / HTTP/1.1\r\nTransfer-Encoding: chunked\r\nContent-Length: "
                 "3\r\n\r\n0\r\n\r\n"},
        Nonsense{"UnknownCoding", "PUT / HTTP/1.1\r\nTransfer-Encoding: gzip\r\n\r\nabc"},
        Nonsense{"CodingList",
                 "PUT / HTTP/1.1\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", 501},
        Nonsense{"ChunkedTwice",
                 "PUT / HTTP/1.1\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: "
                 "chunked\r\n\r\n0\r\n\r\n"},
        Nonsense{"ChunkedInHttp10",
                 "PUT / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"},
        Nonsense{"ChunkedThenSpace",
                 "PUT / HTTP/1.1\r\nTransfer-Encoding: chunked ,\r\n\r\n0\r\n\r\n", 501},
        Nonsense{"QuotedChunked",
                 "PUT / HTTP/1.1\r\nTransfer-Encoding: \"chunked\"\r\n\r\n0\r\n\r\n"},
        Nonsense{"VerticalTabChunked",
                 "PUT / HTTP/1.1\r\nTransfer-Encoding: \vchunked\r\n\r\n0\r\n\r\n"},
        Nonsense{"ChunkedWithEmptyLength",
                 "PUT / HTTP/1.1\r\nContent-Length:\r\nTransfer-Encoding: "
                 "chunked\r\n\r\n0\r\n\r\n"},
        Nonsense{"EmptyLength", "PUT / HTTP/1.1\r\nContent-Length:\r\n\r\nabc"},
        Nonsense{"LengthWithSpaceInside", "PUT / HTTP/1.1\r\nContent-Length: 1 2\r\n\r\nabc"},
        Nonsense{"LengthWithAComment", "PUT / HTTP/1.1\r\nContent-Length: 3;x\r\n\r\nabc"},
        Nonsense{"TabInName", "PUT / HTTP/1.1\r\nContent-Length\t: 3\r\n\r\nabc"},
        Nonsense{"ControlInTarget", "GET /a\x01 HTTP/1.1\r\n\r\n"},
        Nonsense{"TabInRequestLine", "GET\t/ HTTP/1.1\r\n\r\n"},
        Nonsense{"SpaceInTarget", "GET /a b HTTP/1.1\r\n\r\n"},
        Nonsense{"LowerCaseVersion", "GET / http/1.1\r\n\r\n"},
        Nonsense{"Http2Preface", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"},
        Nonsense{"ObsFoldOfALength", "PUT / HTTP/1.1\r\nContent-Length:\r\n 3\r\n\r\nabc"},
        Nonsense{"FoldedLine", "GET / HTTP/1.1\r\nA: b\r\n c\r\n\r\n"},
        Nonsense{"FoldedFirstLine", "GET / HTTP/1.1\r\n A: b\r\n\r\n"},
        Nonsense{"BareLineFeeds", "GET / HTTP/1.1\nA: b\n\n"},
        Nonsense{"OneBareLineFeed", "GET / HTTP/1.1\r\nA: b\nC: d\r\n\r\n"},
        Nonsense{"BareCarriageReturn", "GET / HTTP/1.1\r\nA: b\rC: d\r\n\r\n"},
        Nonsense{"SpaceBeforeColon", "GET / HTTP/1.1\r\nContent-Length : 3\r\n\r\nabc"},
        Nonsense{"NoColon", "GET / HTTP/1.1\r\nrubbish\r\n\r\n"},
        Nonsense{"EmptyName", "GET / HTTP/1.1\r\n: x\r\n\r\n"},
        Nonsense{"NulByte", std::string("GET / HTTP/1.1\r\nA: b\0c\r\n\r\n", 26)},
        Nonsense{"TwoHosts", "GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n"},
        Nonsense{"BadName", "GET / HTTP/1.1\r\nA(b: c\r\n\r\n"},
        Nonsense{"NoVersion", "GET /\r\n\r\n"}, Nonsense{"WrongVersion", "GET / HTTP/3.1\r\n\r\n"},
        Nonsense{"TwoSpaces", "GET  / HTTP/1.1\r\n\r\n"},
        Nonsense{"Tls", "\x16\x03\x01\x02\r\n\r\n"},
        Nonsense{"BadChunkSize",
                 "PUT / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\nabc\r\n"},
        Nonsense{"BadChunkEnd",
                 "PUT / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabcd\r\n0\r\n\r\n"},
        Nonsense{"BareLineFeedInChunk",
                 "PUT / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n3\nabc\r\n0\r\n\r\n"},
        Nonsense{"SpaceBeforeChunkSize",
                 "PUT / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n 3\r\nabc\r\n0\r\n\r\n"},
        Nonsense{"NegativeChunk",
                 "PUT / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n-3\r\nabc\r\n0\r\n\r\n"},
        Nonsense{"HexPrefixedChunk",
                 "PUT / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n0x3\r\nabc\r\n0\r\n\r\n"},
        Nonsense{"UnderscoredChunk",
                 "PUT / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n1_0\r\nabc\r\n0\r\n\r\n"},
        Nonsense{
            "ConnectionNamesLength",
            "PUT / HTTP/1.1\r\nConnection: close, content-length\r\nContent-Length: 3\r\n\r\nabc"},
        Nonsense{"ConnectionNamesHost", "GET / HTTP/1.1\r\nHost: a\r\nConnection: Host\r\n\r\n"},
        Nonsense{"HugeChunk",
                 "PUT / HTTP/1.1\r\nTransfer-Encoding: "
                 "chunked\r\n\r\nfffffffffffffffff\r\nabc\r\n0\r\n\r\n"},
        Nonsense{"BareLineFeedInExtension",
                 "PUT / HTTP/1.1\r\nTransfer-Encoding: "
                 "chunked\r\n\r\n3;a\nb\r\nabc\r\n0\r\n\r\n"},
        Nonsense{"BareLineFeedInTrailer",
                 "PUT / HTTP/1.1\r\nTransfer-Encoding: "
                 "chunked\r\n\r\n3\r\nabc\r\n0\r\nA: b\nC: d\r\n\r\n"}),
    [](const auto& info) { return info.param.name; });

}  // namespace
}  // namespace zerocloud::server
