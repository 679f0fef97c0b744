#include "middleware/remote/greeting.h"

#include <fmt/format.h>

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

}  // namespace zerocloud::remote
