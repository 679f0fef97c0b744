// NodeService: everything that `zerocloud node` runs, put together from a configuration.
#pragma once

#include <memory>
#include <string>

#include "channels/base/result.h"
#include "middleware/config/config.h"

namespace zerocloud::tools {

class NodeService {
 public:
  // REQUIRES: config::Check accepted it. kInvalid: it is not the configuration of a node.
  static Result<std::unique_ptr<NodeService>> Start(const config::Config& config,
                                                    const std::string& version);

  NodeService(const NodeService&) = delete;
  NodeService& operator=(const NodeService&) = delete;
  // Ends all sessions; the proxies run them elsewhere.
  ~NodeService();

  // "10.0.0.5:8090", the port as the system chose it.
  [[nodiscard]] std::string address() const;

  // "http://127.0.0.1:9281/metrics", or nothing.
  [[nodiscard]] std::string metrics_url() const;

  // Says which options have changed since the start, for nothing changes while it runs.
  void Compare(const config::Config& config) const;

 private:
  struct Parts;
  explicit NodeService(std::unique_ptr<Parts> parts);
  std::unique_ptr<Parts> parts_;
};

// Says which of the options that were set mean nothing to a node: in one line, for a file may well
// be there for `zerocloud serve` on the same host, too.
void TellUnused(const config::Settings& settings);

}  // namespace zerocloud::tools
