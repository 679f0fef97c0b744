// What `zerocloud serve` and `zerocloud node` tell their numbers by: a listener of its own for
// Prometheus, and StatsD.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "channels/base/result.h"
#include "middleware/config/config.h"
#include "middleware/operations/metrics_handler.h"
#include "middleware/operations/statsd.h"
#include "middleware/server/server.h"

namespace zerocloud::tools {

class MetricsListener {
 public:
  // `text` tells the metrics and is called by its thread until it is destroyed. Null where
  // metrics.listen is empty.
  static Result<std::unique_ptr<MetricsListener>> Start(const config::MetricsSection& section,
                                                        std::function<std::string()> text);

  // "http://127.0.0.1:9281/metrics", the port as the system chose it.
  [[nodiscard]] std::string url() const;

 private:
  MetricsListener(const config::MetricsSection& section, std::function<std::string()> text)
      : section_(section), handler_(std::move(text), section.path) {}

  const config::MetricsSection section_;
  operations::MetricsHandler handler_;
  std::unique_ptr<server::Server> server_;
};

// Null where statsd.host is empty.
Result<std::unique_ptr<operations::Statsd>> OpenStatsd(const config::StatsdSection& section);

}  // namespace zerocloud::tools
