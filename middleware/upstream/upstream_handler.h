// UpstreamHandler: leaves every request to the upstream, but for GET /info, to whose answer it adds
// a section. ParseUpstreamUrls: where that upstream is.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "channels/base/result.h"
#include "middleware/http/message.h"
#include "middleware/node/worker_pool.h"
#include "middleware/upstream/http_client.h"

namespace zerocloud::upstream {

struct UpstreamUrl {
  std::string host;
  std::uint16_t port = 80;
  bool is_tls = false;
  std::string origin;  // "http://host:port", what paths are appended to
};

// "http://host[:port][/]", or https; several with commas between. kInvalid with a sentence.
Result<std::vector<UpstreamUrl>> ParseUpstreamUrls(std::string_view urls);

class UpstreamHandler : public http::Handler {
 public:
  // `section` is JSON text, to stand in /info under `name`. `client` outlives the handler. `origin`
  // is where /info is asked; empty: one of the client's own.
  UpstreamHandler(HttpClient& client, std::string origin, std::string name, std::string section)
      : client_(client),
        origin_(std::move(origin)),
        name_(std::move(name)),
        section_(std::move(section)),
        workers_(1) {}

  Begun Begin(const http::RequestHead& head) override;

 private:
  class InfoExchange;

  http::Response Info(const http::Headers& headers);

  HttpClient& client_;
  const std::string origin_;
  const std::string name_;
  const std::string section_;
  node::WorkerPool workers_;  // last: its thread ends before what it uses
};

}  // namespace zerocloud::upstream
