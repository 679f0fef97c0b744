#include "middleware/remote/greeting.h"

#include <fmt/format.h>

#include <charconv>
#include <optional>

namespace zerocloud::remote {

Result<Hello> GreetNode(peer::SecureConnection& connection, const std::string& proxy,
                        std::chrono::milliseconds silence) {
  Result<void> sent = connection.Send(peer::FrameKind::kHello, Encode(Hello{.proxy = proxy}));
  if (!sent) return Fail(sent);
  Result<std::optional<peer::Frame>> answer = connection.Receive(silence);
  if (!answer) return Fail(answer);
  const std::optional<peer::Frame>& frame = *answer;
  if (!frame) return Fail(ErrorCode::kTimeout, "it does not answer");
  if (frame->kind != peer::FrameKind::kHello) {
    return Fail(ErrorCode::kInvalid,
                fmt::format("it answered a greeting with a {} frame", ToString(frame->kind)));
  }
  return ParseHello(frame->payload);
}

Result<std::unique_ptr<peer::SecureConnection>> ConnectToNode(
    const std::string& address, peer::KeyFile& keys, const std::string& proxy,
    const peer::ConnectionLimits& patience) {
  const std::size_t colon = address.rfind(':');
  std::uint16_t port = 0;
  const char* const end = address.data() + address.size();
  const bool is_address = colon != std::string::npos &&
                          std::from_chars(address.data() + colon + 1, end, port).ptr == end;
  if (!is_address) return Fail(ErrorCode::kInvalid, "its address is none");
  auto made = peer::SecureConnection::Connect(address.substr(0, colon), port, keys, patience);
  if (!made) return made;
  const Result<Hello> greeted = GreetNode(**made, proxy, patience.silence);
  if (!greeted) return Fail(greeted);
  return made;
}

}  // namespace zerocloud::remote
