#include "middleware/tools/numbers.h"

#include <fmt/format.h>

#include <cstdint>
#include <utility>

namespace zerocloud::tools {

Result<std::unique_ptr<MetricsListener>> MetricsListener::Start(
    const config::MetricsSection& section, std::function<std::string()> text) {
  if (section.listen.empty()) return nullptr;
  const Result<config::Endpoint> endpoint = config::ParseEndpoint(section.listen);
  if (!endpoint.has_value()) return Fail(endpoint);
  std::unique_ptr<MetricsListener> listener(new MetricsListener(section, std::move(text)));
  server::Options options;
  options.address = endpoint->host;
  options.port = endpoint->port;
  options.threads = 1;
  options.settings.limits.connections = 64;
  auto started = server::Server::Start(std::move(options), listener->handler_);
  if (!started.has_value()) {
    return Fail(started.error().code, "metrics.listen: " + started.error().message);
  }
  listener->server_ = std::move(*started);
  return listener;
}

std::string MetricsListener::url() const {
  const std::string& listen = section_.listen;
  return fmt::format("http://{}:{}{}", listen.substr(0, listen.rfind(':')), server_->port(),
                     section_.path);
}

Result<std::unique_ptr<operations::Statsd>> OpenStatsd(const config::StatsdSection& section) {
  if (section.host.empty()) return nullptr;
  return operations::Statsd::Open(
      {.host = section.host,
       .port = static_cast<std::uint16_t>(section.port),
       .prefix = section.prefix,
       .sample_percent = static_cast<std::uint32_t>(section.sample_percent)});
}

}  // namespace zerocloud::tools
