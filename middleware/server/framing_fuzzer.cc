// Any bytes as a message: heads and bodies must be read the same however they arrive, and what is
// accepted must hold what the headers promise.
#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>
#include <variant>

#include "middleware/server/body_decoder.h"
#include "middleware/server/head_scanner.h"
#include "middleware/server/message_head.h"
#include "middleware/server/proxy_header.h"

using namespace zerocloud::server;

namespace {

// The body of `bytes` shown in steps; "?" when it is refused, and nothing of what is unfinished.
std::string Decode(BodyFraming framing, std::string_view bytes, std::size_t step,
                   std::size_t& consumed) {
  BodyDecoder decoder(framing);
  std::string body;
  consumed = 0;
  std::size_t shown = 0;
  while (decoder.state() == BodyDecoder::State::kGoesOn) {
    const BodyDecoder::Step taken = decoder.Take(bytes.substr(consumed, shown - consumed));
    if (taken.data.size() > taken.consumed || taken.consumed > shown - consumed) std::abort();
    body += taken.data;
    consumed += taken.consumed;
    if (taken.consumed > 0) continue;
    if (shown == bytes.size()) break;
    shown = std::min(shown + step, bytes.size());
  }
  return decoder.state() == BodyDecoder::State::kRefused ? "?" : body;
}

void CheckBody(BodyFraming framing, std::string_view bytes, std::size_t step) {
  std::size_t whole_consumed = 0;
  std::size_t cut_consumed = 0;
  const std::string whole = Decode(framing, bytes, bytes.size() + 1, whole_consumed);
  const std::string cut = Decode(framing, bytes, step, cut_consumed);
  if (whole != cut || (whole != "?" && whole_consumed != cut_consumed)) std::abort();
  if (framing.kind == BodyFraming::Kind::kLength && whole.size() > framing.length) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < 2) return 0;
  const std::string_view bytes(static_cast<const char*>(static_cast<const void*>(data)) + 1,
                               size - 1);
  const std::size_t step = 1 + data[0] % 16;
  const ProxyHeader proxy = ParseProxyHeader(bytes);
  if (proxy.state == ProxyHeader::State::kComplete && proxy.size > bytes.size()) std::abort();
  CheckBody({BodyFraming::Kind::kChunked, 0}, bytes, step);
  CheckBody({BodyFraming::Kind::kLength, data[0]}, bytes, step);

  HeadScanner scanner({8192, 65536, 200});
  std::size_t head_size = bytes.size();
  if (scanner.Scan(bytes) == HeadScanner::State::kComplete) head_size = scanner.head_size();
  const std::string_view head = bytes.substr(0, head_size);
  auto request = ParseRequestHead(head);
  if (const auto* parts = std::get_if<RequestHeadParts>(&request)) {
    if (parts->method.empty() || parts->target.find_first_of(" \r\n") != std::string::npos) {
      std::abort();
    }
    const bool is_chunked = parts->framing.kind == BodyFraming::Kind::kChunked;
    if (is_chunked && parts->content_length.has_value()) std::abort();
    for (const auto& [name, value] : parts->headers) {
      if (name.empty() || value.find_first_of("\r\n") != std::string::npos) std::abort();
    }
    CheckBody(parts->framing, bytes.substr(head_size), step);
  }
  auto response = ParseResponseHead(head, data[0] > 127);
  if (const auto* parts = std::get_if<ResponseHeadParts>(&response)) {
    if (parts->status < 100 || parts->status > 999) std::abort();
    CheckBody(parts->framing, bytes.substr(head_size), step);
  }
  return 0;
}
