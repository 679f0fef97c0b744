#include "middleware/operations/health_handler.h"

#include <unistd.h>

#include <string_view>
#include <utility>

namespace zerocloud::operations {

HealthHandler::HealthHandler(http::Handler& inner, std::string disable_path)
    : inner_(inner), disable_path_(std::move(disable_path)) {}

void HealthHandler::SetDisablePath(std::string path) {
  const std::lock_guard lock(mutex_);
  disable_path_ = std::move(path);
}

bool HealthHandler::IsDisabled() const {
  const std::lock_guard lock(mutex_);
  return !disable_path_.empty() && ::access(disable_path_.c_str(), F_OK) == 0;
}

http::Handler::Begun HealthHandler::Begin(const http::RequestHead& head) {
  constexpr std::string_view kPath = "/healthcheck";
  const std::string_view target = head.target;
  const bool is_asked =
      target.starts_with(kPath) && (target.size() == kPath.size() || target[kPath.size()] == '?');
  if (!is_asked || !IsDisabled()) return inner_.Begin(head);
  http::Response response;
  response.status = 503;
  response.text = "DISABLED BY FILE";
  response.headers.Add("Content-Type", "text/plain");
  return response;
}

}  // namespace zerocloud::operations
