// The heads of HTTP/1 messages as values, and what they say about the body that follows. Pure.
//
// Stricter than Swift about framing and as tolerant about everything else: whatever two readers
// could frame differently is refused (RFC 9112 sections 5 and 6), while methods, targets and field
// values are opaque bytes and names may be UTF-8, as Swift's own clients send them.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <variant>

#include "middleware/http/message.h"

namespace zerocloud::server {

// Why a head is refused: the status to answer with, and a sentence.
struct HeadObjection {
  int status = 400;
  std::string sentence;
};

struct BodyFraming {
  enum class Kind : std::uint8_t {
    kNone,
    kLength,
    kChunked,
    kUntilEnd,  // responses only: until the connection ends
  };
  Kind kind = Kind::kNone;
  std::uint64_t length = 0;  // kLength; never 0 of a request
};

struct RequestHeadParts {
  std::string method;
  std::string target;
  bool is_http_10 = false;
  http::Headers headers;
  std::optional<std::uint64_t> content_length;
  BodyFraming framing;
  // What the Connection field and the version say.
  bool wants_keep_alive = true;
};

// `head`: all of it, with the final empty line, as HeadScanner accepted it (other bytes are
// refused, never misread).
std::variant<RequestHeadParts, HeadObjection> ParseRequestHead(std::string_view head);

struct ResponseHeadParts {
  int status = 0;
  std::string reason;  // may be empty
  http::Headers headers;
  BodyFraming framing;
  bool can_keep_alive = true;
};

// `is_head_request`: then no body follows, whatever the fields say.
std::variant<ResponseHeadParts, HeadObjection> ParseResponseHead(std::string_view head,
                                                                 bool is_head_request);

}  // namespace zerocloud::server
