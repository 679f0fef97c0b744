#include "middleware/server/proxy_header.h"

#include <gtest/gtest.h>

#include <string>

namespace zerocloud::server {
namespace {

using State = ProxyHeader::State;

const std::string kSignature("\r\n\r\n\0\r\nQUIT\n", 12);

// `text` as `bytes` of a binary header's lengths and addresses.
std::string Bytes(std::initializer_list<int> values) {
  std::string bytes;
  for (const int value : values) bytes.push_back(static_cast<char>(value));
  return bytes;
}

void ExpectClient(const std::string& header, std::string_view client) {
  for (std::size_t i = 0; i < header.size(); ++i) {
    EXPECT_EQ(ParseProxyHeader(header.substr(0, i)).state, State::kNeedsMore) << i;
  }
  const ProxyHeader parsed = ParseProxyHeader(header + "GET / HTTP/1.1\r\n");
  EXPECT_EQ(parsed.state, State::kComplete);
  EXPECT_EQ(parsed.size, header.size());
  EXPECT_EQ(parsed.client, client);
}

TEST(ProxyHeader, TellsTheClientOfBothVersions) {
  ExpectClient("PROXY TCP4 192.0.2.1 198.51.100.1 56324 443\r\n", "192.0.2.1");
  ExpectClient("PROXY TCP6 2001:db8::1 ::1 1 65535\r\n", "2001:db8::1");
  ExpectClient("PROXY UNKNOWN\r\n", "");
  ExpectClient(kSignature + Bytes({0x21, 0x11, 0, 12, 192, 0, 2, 1, 198, 51, 100, 1, 1, 2, 3, 4}),
               "192.0.2.1");
  // With a TLV after the addresses, which nobody needs.
  ExpectClient(kSignature + Bytes({0x21, 0x11, 0, 16, 192, 0, 2, 1, 198, 51,
                                   100,  1,    1, 2,  3,   4, 4, 0, 1,   0}),
               "192.0.2.1");
  ExpectClient(kSignature + Bytes({0x21, 0x21, 0, 36}) + Bytes({0x20, 1, 0xd, 0xb8}) +
                   std::string(11, '\0') + "\x01" + std::string(20, 'x'),
               "2001:db8::1");
  ExpectClient(kSignature + Bytes({0x20, 0, 0, 0}), "");
}

TEST(ProxyHeader, RefusesEverythingElse) {
  for (const std::string& bytes :
       {std::string("GET / HTTP/1.1\r\n"), std::string("PROXY TCP4 1.2.3 4.5.6.7 1 2\r\n"),
        std::string("PROXY TCP4 1.2.3.4 4.5.6.7 1\r\n"),
        std::string("PROXY TCP4 1.2.3.4 4.5.6.7 1 65536\r\n"),
        std::string("PROXY TCP6 1.2.3.4 4.5.6.7 1 2\r\n"),
        std::string("PROXY TCP5 1.2.3.4 4.5.6.7 1 2\r\n"), "PROXY UNKNOWN " + std::string(200, 'x'),
        kSignature + Bytes({0x11, 0x11, 0, 12}), kSignature + Bytes({0x22, 0x11, 0, 12}),
        kSignature + Bytes({0x21, 0x11, 0xff, 0xff}),
        kSignature + Bytes({0x21, 0x11, 0, 4, 1, 2, 3, 4}),
        kSignature + Bytes({0x21, 0x21, 0, 4, 1, 2, 3, 4})}) {
    EXPECT_EQ(ParseProxyHeader(bytes).state, State::kRefused) << bytes;
  }
}

}  // namespace
}  // namespace zerocloud::server
