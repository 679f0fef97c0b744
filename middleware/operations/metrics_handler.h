// MetricsHandler: GET and HEAD of one path answer the metrics; all else is 404. For a listener of
// its own.
#pragma once

#include <string>

#include "middleware/http/message.h"
#include "middleware/operations/metrics.h"

namespace zerocloud::operations {

class MetricsHandler : public http::Handler {
 public:
  // `metrics` outlives it.
  MetricsHandler(const Metrics& metrics, std::string path);
  Begun Begin(const http::RequestHead& head) override;

 private:
  const Metrics& metrics_;
  const std::string path_;
};

}  // namespace zerocloud::operations
