#include "middleware/server/message_head.h"

#include <algorithm>
#include <array>
#include <utility>

#include "middleware/http/text.h"

namespace zerocloud::server {
namespace {

constexpr std::string_view kLineEnd = "\r\n";

// RFC 9110 5.6.2.
constexpr bool IsTokenByte(char c) {
  constexpr std::string_view kMarks = "!#$%&'*+-.^_`|~";
  return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') ||
         kMarks.find(c) != std::string_view::npos;
}

constexpr bool IsHigh(char c) { return static_cast<unsigned char>(c) >= 0x80; }

// What may stand in a field's name, by byte.
constexpr auto kNameBytes = [] {
  std::array<bool, 256> allowed{};
  for (std::size_t i = 0; i < allowed.size(); ++i) {
    const char c = static_cast<char>(static_cast<unsigned char>(i));
    allowed[i] = IsTokenByte(c) || IsHigh(c);
  }
  return allowed;
}();

bool IsToken(std::string_view text) {
  return !text.empty() && std::ranges::all_of(text, IsTokenByte);
}

// Swift and its clients use UTF-8 in the names of metadata.
bool IsFieldName(std::string_view text) {
  return !text.empty() && std::ranges::all_of(text, [](char c) {
    return kNameBytes[static_cast<unsigned char>(c)];
  });
}

bool IsTarget(std::string_view text) {
  return !text.empty() && std::ranges::all_of(text, [](char c) {
    return IsHigh(c) || (static_cast<unsigned char>(c) > 0x20 && c != 0x7f);
  });
}

bool IsFieldValue(std::string_view text) {
  return text.find('\r') == std::string_view::npos && text.find('\n') == std::string_view::npos &&
         text.find('\0') == std::string_view::npos;
}

// The next line without its end; none: there is no whole line.
std::optional<std::string_view> TakeLine(std::string_view& rest) {
  std::size_t end = rest.find('\r');
  while (end != std::string_view::npos && !rest.substr(end).starts_with(kLineEnd)) {
    end = rest.find('\r', end + 1);
  }
  if (end == std::string_view::npos) return std::nullopt;
  const std::string_view line = rest.substr(0, end);
  rest.remove_prefix(end + kLineEnd.size());
  return line;
}

// Every field up to the empty line, which must be the end. Empty, or what is wrong.
std::string ParseFields(std::string_view rest, http::Headers& headers) {
  headers.Reserve(16, rest.size());
  for (;;) {
    const std::optional<std::string_view> line = TakeLine(rest);
    if (!line.has_value()) return "The head has no end.";
    if (line->empty()) return rest.empty() ? "" : "Bytes after the head.";
    const std::size_t colon = line->find(':');
    if (colon == std::string_view::npos) return "A header line has no colon.";
    const std::string_view name = line->substr(0, colon);
    const std::string_view value = http::Trim(line->substr(colon + 1));
    if (!IsFieldName(name)) return "A header field's name holds a byte that no name may hold.";
    if (!IsFieldValue(value)) return "The value of a header field holds CR, LF or NUL.";
    headers.Add(name, value);
  }
}

std::size_t Count(const http::Headers& headers, std::string_view name) {
  return static_cast<std::size_t>(std::ranges::count_if(
      headers, [&](const auto& field) { return http::EqualsIgnoringCase(field.first, name); }));
}

// Whether any Connection field lists that option.
bool ConnectionSays(const http::Headers& headers, std::string_view option) {
  for (const auto& [name, value] : headers) {
    if (!http::EqualsIgnoringCase(name, "Connection")) continue;
    for (const std::string_view each : http::SplitTrimmed(value, ',')) {
      if (http::EqualsIgnoringCase(each, option)) return true;
    }
  }
  return false;
}

bool IsKeptAlive(const http::Headers& headers, bool is_http_10) {
  if (ConnectionSays(headers, "close")) return false;
  return !is_http_10 || ConnectionSays(headers, "keep-alive");
}

// Content-Length, when it is well-formed and stands there at most once. Empty, or what is wrong.
std::string ReadLength(const http::Headers& headers, std::optional<std::uint64_t>& length) {
  if (Count(headers, "Content-Length") > 1) return "More than one Content-Length.";
  const auto text = headers.Get("Content-Length");
  if (!text.has_value()) return {};
  length = http::ParseNumber(*text);
  return length.has_value() ? "" : "Content-Length is not one number below 2^64.";
}

HeadObjection Objection(std::string sentence) { return {400, std::move(sentence)}; }

// Fields that Connection names go no further; of these the next hop would know neither where the
// body ends nor whom it is for.
std::optional<HeadObjection> ObjectToConnection(const http::Headers& headers) {
  for (const std::string_view name : {"Content-Length", "Host"}) {
    if (!ConnectionSays(headers, name)) continue;
    return Objection("Connection names " + std::string(name) + ", which is for every hop.");
  }
  return std::nullopt;
}

// The rest of the checks on a request, when its lines were read. None: it is well framed.
std::optional<HeadObjection> FrameRequest(RequestHeadParts& parts) {
  const http::Headers& headers = parts.headers;
  if (Count(headers, "Host") > 1) return Objection("More than one Host.");
  if (auto objection = ObjectToConnection(headers)) return objection;
  const std::string wrong = ReadLength(headers, parts.content_length);
  if (!wrong.empty()) return Objection(wrong);
  const auto coding = headers.Get("Transfer-Encoding");
  if (!coding.has_value()) {
    const std::uint64_t length = parts.content_length.value_or(0);
    if (length > 0) parts.framing = {BodyFraming::Kind::kLength, length};
    return std::nullopt;
  }
  // As Swift answers: a list of codings is something that is not implemented here.
  if (coding->find(',') != std::string_view::npos) {
    return HeadObjection{501, "Transfer-Encoding can only be \"chunked\"."};
  }
  const bool is_chunked =
      Count(headers, "Transfer-Encoding") == 1 && http::EqualsIgnoringCase(*coding, "chunked");
  if (!is_chunked) return Objection("Transfer-Encoding can only be \"chunked\".");
  if (parts.is_http_10) return Objection("Transfer-Encoding in an HTTP/1.0 request.");
  if (parts.content_length.has_value()) {
    return Objection("Content-Length conflicts with Transfer-Encoding.");
  }
  parts.framing = {BodyFraming::Kind::kChunked, 0};
  return std::nullopt;
}

}  // namespace

std::variant<RequestHeadParts, HeadObjection> ParseRequestHead(std::string_view head) {
  RequestHeadParts parts;
  const std::optional<std::string_view> line = TakeLine(head);
  if (!line.has_value()) return Objection("The request has no line.");
  const std::size_t first = line->find(' ');
  const std::size_t last = line->rfind(' ');
  if (first == std::string_view::npos || first == last) {
    return Objection("The request line is not a method, a target and a version.");
  }
  parts.method = line->substr(0, first);
  parts.target = line->substr(first + 1, last - first - 1);
  const std::string_view version = line->substr(last + 1);
  if (!IsToken(parts.method)) return Objection("The method is no token.");
  if (!IsTarget(parts.target)) return Objection("The request's target holds a space or a control.");
  if (version != "HTTP/1.1" && version != "HTTP/1.0") {
    return Objection("Only HTTP/1.0 and HTTP/1.1 are spoken here.");
  }
  parts.is_http_10 = version == "HTTP/1.0";
  std::string wrong = ParseFields(head, parts.headers);
  if (!wrong.empty()) return Objection(std::move(wrong));
  if (auto objection = ObjectToConnection(parts.headers)) return *std::move(objection);
  if (auto objection = FrameRequest(parts)) return *std::move(objection);
  parts.wants_keep_alive = IsKeptAlive(parts.headers, parts.is_http_10);
  return parts;
}

std::variant<ResponseHeadParts, HeadObjection> ParseResponseHead(std::string_view head,
                                                                 bool is_head_request) {
  ResponseHeadParts parts;
  const std::optional<std::string_view> line = TakeLine(head);
  const bool is_status_line = line.has_value() && line->size() >= 12 &&
                              (line->starts_with("HTTP/1.1 ") || line->starts_with("HTTP/1.0 ")) &&
                              (line->size() == 12 || (*line)[12] == ' ');
  if (!is_status_line) return Objection("The answer does not begin with an HTTP/1 status line.");
  const std::optional<std::uint64_t> status = http::ParseNumber(line->substr(9, 3));
  if (!status.has_value() || *status < 100) {
    return Objection("The answer's status is not a number from 100 to 999.");
  }
  parts.status = static_cast<int>(*status);
  const bool is_http_10 = line->starts_with("HTTP/1.0");
  if (line->size() > 13) parts.reason = line->substr(13);
  if (!IsFieldValue(parts.reason)) return Objection("The answer's reason holds CR or NUL.");
  std::string wrong = ParseFields(head, parts.headers);
  if (!wrong.empty()) return Objection(std::move(wrong));
  parts.can_keep_alive = IsKeptAlive(parts.headers, is_http_10);

  std::optional<std::uint64_t> length;
  wrong = ReadLength(parts.headers, length);
  if (!wrong.empty()) return Objection(std::move(wrong));
  const auto coding = parts.headers.Get("Transfer-Encoding");
  const bool is_bodyless =
      is_head_request || parts.status < 200 || parts.status == 204 || parts.status == 304;
  if (coding.has_value()) {
    const bool is_chunked = Count(parts.headers, "Transfer-Encoding") == 1 &&
                            http::EqualsIgnoringCase(*coding, "chunked") && !is_http_10;
    if (!is_chunked || length.has_value()) {
      return Objection("The answer's Transfer-Encoding is not \"chunked\" alone.");
    }
    if (!is_bodyless) parts.framing = {BodyFraming::Kind::kChunked, 0};
  } else if (is_bodyless) {
    parts.framing = {BodyFraming::Kind::kNone, 0};
  } else if (length.has_value()) {
    parts.framing = {*length == 0 ? BodyFraming::Kind::kNone : BodyFraming::Kind::kLength, *length};
  } else {
    parts.framing = {BodyFraming::Kind::kUntilEnd, 0};
    parts.can_keep_alive = false;
  }
  return parts;
}

}  // namespace zerocloud::server
