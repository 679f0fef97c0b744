#include "middleware/operations/metrics_handler.h"

#include <string_view>
#include <utility>

#include "middleware/http/reply.h"

namespace zerocloud::operations {

MetricsHandler::MetricsHandler(std::function<std::string()> text, std::string path)
    : text_(std::move(text)), path_(std::move(path)) {}

http::Handler::Begun MetricsHandler::Begin(const http::RequestHead& head) {
  const std::string_view target = head.target;
  if (target.substr(0, target.find('?')) != path_) {
    return http::TextResponse(404, "There is nothing here but " + path_ + ".");
  }
  if (head.method != "GET" && head.method != "HEAD") {
    http::Response response = http::TextResponse(405, "Metrics are read by GET.");
    response.headers.Add("Allow", "GET, HEAD");
    return response;
  }
  http::Response response;
  response.headers.Add("Content-Type", "text/plain; version=0.0.4; charset=utf-8");
  response.text = text_();
  return response;
}

}  // namespace zerocloud::operations
