// The bytes of a response head, and how a response's body is framed. Pure: no sockets.
#pragma once

#include <cstdint>
#include <ctime>
#include <optional>
#include <string>
#include <string_view>

#include "middleware/http/message.h"

namespace zerocloud::server {

enum class Framing : std::uint8_t {
  kNone,    // no body follows, whatever Content-Length says (HEAD, 1xx, 204, 304)
  kLength,  // exactly `length` bytes
  kChunked,
  kClose,  // until the connection closes (HTTP/1.0 and unknown length)
};

struct BodyFrame {
  Framing framing = Framing::kLength;
  std::optional<std::uint64_t> length;  // what Content-Length says, if it is sent at all
};

struct ResponseContext {
  bool is_head_request = false;
  bool is_http_10 = false;
  bool keep_alive = true;
  bool client_said_keep_alive = false;  // only then "Connection: keep-alive" is written
  std::string_view trans_id;
  std::time_t now = 0;
};

BodyFrame FrameOf(const http::Response& response, const ResponseContext& context);

// Status line and header fields up to and with the empty line. Fields of the response that the
// server owns (Content-Length, Transfer-Encoding, Connection, Date, X-Trans-Id) are written by it
// and skipped in `response.headers`. A value with CR, LF or NUL cannot be sent: those bytes become
// spaces, so that no handler's defect can split a response.
std::string RenderHead(const http::Response& response, const BodyFrame& frame,
                       const ResponseContext& context);

}  // namespace zerocloud::server
