#include "middleware/server/response_head.h"

#include <array>
#include <string>

#include "middleware/http/date.h"
#include "middleware/http/reply.h"
#include "middleware/http/text.h"

namespace zerocloud::server {
namespace {

bool IsServersOwn(std::string_view name) {
  constexpr std::array<std::string_view, 7> kOwned = {
      "Content-Length", "Transfer-Encoding",     "Connection", "Keep-Alive", "Date",
      "X-Trans-Id",     "X-Openstack-Request-Id"};
  for (const std::string_view owned : kOwned) {
    if (http::EqualsIgnoringCase(name, owned)) return true;
  }
  return false;
}

void AppendField(std::string& out, std::string_view name, std::string_view value) {
  out.append(name).append(": ");
  for (const char c : value) out.push_back(c == '\r' || c == '\n' || c == '\0' ? ' ' : c);
  out.append("\r\n");
}

bool HasNoBody(int status) { return status < 200 || status == 204 || status == 304; }

}  // namespace

BodyFrame FrameOf(const http::Response& response, const ResponseContext& context) {
  std::optional<std::uint64_t> length = response.body == nullptr
                                            ? std::optional<std::uint64_t>(response.text.size())
                                            : response.body_size;
  if (context.is_head_request || HasNoBody(response.status)) {
    if (response.declared_length.has_value()) length = response.declared_length;
    // RFC 9110 8.6: no Content-Length in 1xx and 204; in 304 only the one of the 200.
    const bool is_untold = response.status < 200 || response.status == 204 ||
                           (response.status == 304 && !response.declared_length.has_value());
    if (is_untold) length.reset();
    return {Framing::kNone, length};
  }
  if (length.has_value()) return {Framing::kLength, length};
  return {context.is_http_10 ? Framing::kClose : Framing::kChunked, std::nullopt};
}

std::string RenderHead(const http::Response& response, const BodyFrame& frame,
                       const ResponseContext& context) {
  std::string out;
  out.reserve(512);
  out.append("HTTP/1.1 ").append(std::to_string(response.status)).push_back(' ');
  out.append(http::ReasonPhrase(response.status)).append("\r\n");
  for (const auto& [name, value] : response.headers) {
    if (name.empty() || IsServersOwn(name)) continue;
    AppendField(out, name, value);
  }
  if (frame.length.has_value()) AppendField(out, "Content-Length", std::to_string(*frame.length));
  if (frame.framing == Framing::kChunked) AppendField(out, "Transfer-Encoding", "chunked");
  AppendField(out, "X-Trans-Id", context.trans_id);
  AppendField(out, "X-Openstack-Request-Id", context.trans_id);
  AppendField(out, "Date", http::FormatDate(context.now));
  if (!context.keep_alive) {
    AppendField(out, "Connection", "close");
  } else if (context.client_said_keep_alive) {
    AppendField(out, "Connection", "keep-alive");
  }
  out.append("\r\n");
  return out;
}

}  // namespace zerocloud::server
