// Service: everything that `zerocloud serve` runs, put together from a configuration: the store or
// the upstream, the job engine, and the server in front of them. Destroying it stops all of it, in
// the order in which nobody is left calling what is gone.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <string>

#include "channels/base/result.h"
#include "middleware/config/config.h"

namespace zerocloud::tools {

class Service {
 public:
  // REQUIRES: config::Check accepted it.
  static Result<std::unique_ptr<Service>> Start(const config::Config& config,
                                                const std::string& version);

  Service(const Service&) = delete;
  Service& operator=(const Service&) = delete;
  ~Service();

  // "127.0.0.1:43121": what is listened on, the port as the system chose it.
  [[nodiscard]] std::string address() const;

  // "http://127.0.0.1:9281/metrics", or nothing.
  [[nodiscard]] std::string metrics_url() const;

  // Takes over what can change while it runs (config::Reloaded), with the certificates in their
  // files, and says of each other option that has changed that it needs a restart. An error, also
  // for a change that would make another service of it, leaves all as it was.
  Result<void> Reload(const config::Config& config);

  // Lets requests under way end for at most the configured grace, then cancels them.
  void Stop();

 private:
  struct Parts;
  explicit Service(std::unique_ptr<Parts> parts);
  std::unique_ptr<Parts> parts_;
};

}  // namespace zerocloud::tools
