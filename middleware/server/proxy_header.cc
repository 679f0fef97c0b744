#include "middleware/server/proxy_header.h"

#include <arpa/inet.h>
#include <netinet/in.h>

#include <algorithm>
#include <array>
#include <vector>

#include "middleware/http/text.h"

namespace zerocloud::server {
namespace {

using State = ProxyHeader::State;

constexpr std::string_view kTextStart = "PROXY ";
constexpr std::size_t kMaxTextBytes = 107;  // says the specification
constexpr std::string_view kBinaryStart("\r\n\r\n\0\r\nQUIT\n", 12);
constexpr std::size_t kBinaryFixedBytes = 16;

bool IsAddress(int family, const std::string& text) {
  std::array<unsigned char, 16> bytes{};
  return ::inet_pton(family, text.c_str(), bytes.data()) == 1;
}

ProxyHeader ParseText(std::string_view bytes) {
  const std::size_t end = bytes.substr(0, kMaxTextBytes).find("\r\n");
  if (end == std::string_view::npos) {
    return {bytes.size() < kMaxTextBytes ? State::kNeedsMore : State::kRefused, 0, {}};
  }
  const std::string_view line = bytes.substr(0, end);
  if (line == "PROXY UNKNOWN" || line.starts_with("PROXY UNKNOWN ")) {
    return {State::kComplete, end + 2, {}};
  }
  const std::vector<std::string_view> words = http::SplitTrimmed(line, ' ');
  if (words.size() != 6 || (words[1] != "TCP4" && words[1] != "TCP6")) return {};
  const int family = words[1] == "TCP4" ? AF_INET : AF_INET6;
  std::string client(words[2]);
  if (!IsAddress(family, client) || !IsAddress(family, std::string(words[3]))) return {};
  for (const std::size_t port : {std::size_t{4}, std::size_t{5}}) {
    const auto number = http::ParseNumber(words[port]);
    if (!number.has_value() || *number > 65535) return {};
  }
  return {State::kComplete, end + 2, std::move(client)};
}

std::string AddressText(int family, std::string_view bytes) {
  std::array<char, INET6_ADDRSTRLEN> text{};
  if (::inet_ntop(family, bytes.data(), text.data(), text.size()) == nullptr) return {};
  return text.data();
}

ProxyHeader ParseBinary(std::string_view bytes) {
  if (bytes.size() < kBinaryFixedBytes) return {State::kNeedsMore, 0, {}};
  const auto at = [bytes](std::size_t i) { return static_cast<unsigned char>(bytes[i]); };
  const std::size_t length = std::size_t{at(14)} * 256 + at(15);
  const std::size_t size = kBinaryFixedBytes + length;
  const unsigned char command = at(12);
  if (command != 0x20 && command != 0x21) return {};
  if (size > kMaxProxyHeaderBytes) return {};
  if (bytes.size() < size) return {State::kNeedsMore, 0, {}};
  const std::string_view addresses = bytes.substr(kBinaryFixedBytes, length);
  ProxyHeader header{State::kComplete, size, {}};
  if (command == 0x20) return header;  // LOCAL
  const unsigned family = at(13) >> 4U;
  if (family == 1) {
    if (length < 12) return {};
    header.client = AddressText(AF_INET, addresses.substr(0, 4));
  } else if (family == 2) {
    if (length < 36) return {};
    header.client = AddressText(AF_INET6, addresses.substr(0, 16));
  }
  return header;
}

}  // namespace

ProxyHeader ParseProxyHeader(std::string_view bytes) {
  const auto may_become = [bytes](std::string_view start) {
    const std::size_t count = std::min(bytes.size(), start.size());
    return bytes.substr(0, count) == start.substr(0, count);
  };
  if (bytes.starts_with(kTextStart)) return ParseText(bytes);
  if (bytes.starts_with(kBinaryStart)) return ParseBinary(bytes);
  const bool may_come = may_become(kTextStart) || may_become(kBinaryStart);
  return {may_come ? State::kNeedsMore : State::kRefused, 0, {}};
}

}  // namespace zerocloud::server
