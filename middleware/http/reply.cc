#include "middleware/http/reply.h"

#include <algorithm>
#include <array>
#include <utility>

namespace zerocloud::http {
namespace {

constexpr std::array<std::pair<int, std::string_view>, 29> kReasons = {{
    {200, "OK"},
    {201, "Created"},
    {202, "Accepted"},
    {204, "No Content"},
    {206, "Partial Content"},
    {304, "Not Modified"},
    {400, "Bad Request"},
    {401, "Unauthorized"},
    {403, "Forbidden"},
    {404, "Not Found"},
    {405, "Method Not Allowed"},
    {406, "Not Acceptable"},
    {408, "Request Timeout"},
    {409, "Conflict"},
    {411, "Length Required"},
    {412, "Precondition Failed"},
    {413, "Request Entity Too Large"},
    {414, "URI Too Long"},
    {416, "Requested Range Not Satisfiable"},
    {422, "Unprocessable Entity"},
    {431, "Request Header Fields Too Large"},
    {499, "Client Disconnect"},
    {500, "Internal Server Error"},
    {501, "Not Implemented"},
    {502, "Bad Gateway"},
    {503, "Service Unavailable"},
    {504, "Gateway Timeout"},
    {505, "HTTP Version Not Supported"},
    {507, "Insufficient Storage"},
}};

}  // namespace

std::string_view ReasonPhrase(int status) {
  const auto* const found =
      std::ranges::find(kReasons, status, &std::pair<int, std::string_view>::first);
  return found == kReasons.end() ? "Unknown" : found->second;
}

int StatusOf(ErrorCode code) {
  switch (code) {
    case ErrorCode::kInvalid:
      return 400;
    case ErrorCode::kForbidden:
      return 403;
    case ErrorCode::kNotFound:
      return 404;
    case ErrorCode::kConflict:
      return 409;
    case ErrorCode::kLimitExceeded:
      return 413;
    case ErrorCode::kUnavailable:
      return 503;
    case ErrorCode::kTimeout:
      return 408;
    case ErrorCode::kCancelled:
      return 499;
    case ErrorCode::kRejectedCode:
    case ErrorCode::kGuestFault:
    case ErrorCode::kInternal:
      return 500;
  }
  return 500;
}

Response TextResponse(int status, std::string_view sentence) {
  Response response;
  response.status = status;
  response.headers.Set("Content-Type", "text/plain; charset=utf-8");
  response.text = std::string(sentence) + "\n";
  return response;
}

Response ErrorResponse(const Error& error) {
  return TextResponse(StatusOf(error.code), error.message);
}

void SetTransId(Response& response, std::string_view trans_id) {
  if (trans_id.empty()) return;
  response.headers.Set("X-Trans-Id", trans_id);
  response.headers.Set("X-Openstack-Request-Id", trans_id);
}

}  // namespace zerocloud::http
