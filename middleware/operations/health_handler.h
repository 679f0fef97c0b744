// HealthHandler: answers GET /healthcheck "503 DISABLED BY FILE" while a file exists, as Swift's
// middleware of that name does; everything else, and the "OK", is the inner handler's (with an
// upstream: Swift's own answer, so that a dead Swift is seen too).
#pragma once

#include <mutex>
#include <string>

#include "middleware/http/message.h"

namespace zerocloud::operations {

class HealthHandler : public http::Handler {
 public:
  // `inner` outlives it. An empty path: never disabled.
  HealthHandler(http::Handler& inner, std::string disable_path);

  Begun Begin(const http::RequestHead& head) override;
  void SetDisablePath(std::string path);  // thread-safe

 private:
  bool IsDisabled() const;

  http::Handler& inner_;
  mutable std::mutex mutex_;
  std::string disable_path_;  // under mutex_
};

}  // namespace zerocloud::operations
