// Upstream: the endpoint behind this server, and the idle connections to it. Thread-safe. Internal
// to the server folder.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "channels/base/unique_fd.h"
#include "middleware/server/request.h"

namespace zerocloud::server {

class Upstream {
 public:
  explicit Upstream(UpstreamOptions options) : options_(std::move(options)) {}

  [[nodiscard]] const UpstreamOptions& options() const { return options_; }
  // "host:port", for messages and for requests that came without Host.
  [[nodiscard]] std::string authority() const;

  // An idle connection that looked alive a moment ago, on that strand; or null.
  std::unique_ptr<Stream> Reuse(Strand strand);
  struct Connected {
    std::unique_ptr<Stream> stream;   // or null, and:
    boost::system::error_code error;  // timeout: net::error::timed_out
  };
  net::awaitable<Connected> Connect(Strand strand);
  // Keeps it for the next request: the whole response was read and nothing more is expected.
  void Keep(std::unique_ptr<Stream> stream);

 private:
  struct Idle {
    UniqueFd socket;
    std::chrono::steady_clock::time_point since;
  };

  UpstreamOptions options_;
  std::mutex mutex_;
  std::vector<Idle> idle_;  // under mutex_; the most recent last
};

}  // namespace zerocloud::server
