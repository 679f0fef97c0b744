#include "middleware/http/reply.h"
#include "middleware/http/text.h"
#include "middleware/store/swift_request.h"

namespace zerocloud::store {
namespace {

// Whether the container's X-Container-Meta-Access-Control-Allow-Origin names the request's Origin.
bool IsOriginAllowed(const SwiftRequest& request, std::string_view origin) {
  if (request.path.container.empty()) return false;
  const auto container = request.store->DescribeContainer(request.container());
  if (!container) return false;
  const auto allowed = container->headers.find("X-Container-Meta-Access-Control-Allow-Origin");
  if (allowed == container->headers.end()) return false;
  for (const std::string_view one : http::SplitTrimmed(allowed->second, ' ')) {
    if (one == "*" || one == origin) return true;
  }
  return false;
}

}  // namespace

http::Response HandleOptions(const SwiftRequest& request, std::string_view methods) {
  const http::Headers& headers = request.head->headers;
  const auto origin = headers.Get("Origin");
  const auto method = headers.Get("Access-Control-Request-Method");
  http::Response response = Empty(200);
  response.headers.Set("Allow", methods);
  if (!origin || !method) return response;
  if (!IsOriginAllowed(request, *origin)) {
    return http::TextResponse(401, "The container does not allow requests from this origin.");
  }
  response.headers.Set("Access-Control-Allow-Origin", *origin);
  response.headers.Set("Access-Control-Allow-Methods", methods);
  response.headers.Set("Vary", "Origin");
  if (const auto wanted = headers.Get("Access-Control-Request-Headers")) {
    response.headers.Set("Access-Control-Allow-Headers", *wanted);
  }
  return response;
}

void AddCorsFields(const SwiftRequest& request, http::Response& response) {
  const auto origin = request.head->headers.Get("Origin");
  if (!origin || !IsOriginAllowed(request, *origin)) return;
  std::string exposed =
      "cache-control, content-language, content-type, expires, last-modified, pragma, etag, "
      "x-timestamp, x-trans-id, x-openstack-request-id";
  for (const auto& [name, value] : response.headers) {
    if (http::StartsWithIgnoringCase(name, "X-Object-Meta-") ||
        http::StartsWithIgnoringCase(name, "X-Container-Meta-")) {
      exposed += ", " + http::ToLower(name);
    }
  }
  response.headers.Set("Access-Control-Allow-Origin", *origin);
  response.headers.Set("Access-Control-Expose-Headers", exposed);
  response.headers.Set("Vary", "Origin");
}

}  // namespace zerocloud::store
