// MetricsHandler: GET and HEAD of one path answer the metrics; all else is 404. For a listener of
// its own.
#pragma once

#include <functional>
#include <string>

#include "middleware/http/message.h"

namespace zerocloud::operations {

class MetricsHandler : public http::Handler {
 public:
  // `text` tells the metrics; thread-safe.
  MetricsHandler(std::function<std::string()> text, std::string path);
  Begun Begin(const http::RequestHead& head) override;

 private:
  const std::function<std::string()> text_;
  const std::string path_;
};

}  // namespace zerocloud::operations
