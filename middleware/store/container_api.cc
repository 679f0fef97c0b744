// GET, HEAD, PUT, POST and DELETE of /v1/account/container.
#include "middleware/http/date.h"
#include "middleware/http/reply.h"
#include "middleware/http/text.h"
#include "middleware/store/listing_format.h"
#include "middleware/store/swift_request.h"

namespace zerocloud::store {
namespace {

constexpr std::string_view kAllowed = "GET, HEAD, PUT, POST, DELETE, OPTIONS";
constexpr std::string_view kPolicy = "Policy-0";

void SetContainerHeaders(const SwiftRequest& request, const ContainerInfo& info,
                         http::Response& response) {
  http::Headers& headers = response.headers;
  headers.Set("X-Container-Object-Count", std::to_string(info.totals.objects));
  headers.Set("X-Container-Bytes-Used", std::to_string(info.totals.bytes));
  headers.Set("X-Timestamp", info.description.created.ToString());
  headers.Set("Last-Modified", http::FormatDate(info.description.changed.CeilSeconds()));
  headers.Set("X-Storage-Policy", kPolicy);
  headers.Set("Accept-Ranges", "bytes");
  for (const auto& [name, value] : info.description.headers) {
    // Who may do what is the owner's business.
    const bool is_secret = name == "X-Container-Read" || name == "X-Container-Write";
    if (!is_secret || request.is_owner()) headers.Set(name, value);
  }
}

http::Response List(const SwiftRequest& request) {
  if (auto allowed = RequireRight(request, request.container(), Right::kList); !allowed) {
    return std::move(allowed).error();
  }
  auto format = ChooseFormat(request.query, request.head->headers);
  if (!format) return std::move(format).error();
  auto query = ReadListingQuery(request.query, request.limits->listing_limit);
  if (!query) return std::move(query).error();
  const auto info = request.store->HeadContainer(request.container());
  if (!info) return StoreErrorResponse(info.error());
  http::Response response;
  if (request.is("HEAD")) {
    response = Empty(204);
    response.headers.Set("Content-Type", "text/plain; charset=utf-8");
  } else {
    const auto entries = request.store->ListObjects(request.container(), *query);
    if (!entries) return StoreErrorResponse(entries.error());
    response = RenderListing(*entries, *format, ListingOf::kObjects, request.path.container);
  }
  SetContainerHeaders(request, *info, response);
  return response;
}

// What the store does not do must not be taken for done.
Result<void> CheckSupported(const http::Headers& headers) {
  if (const auto policy = headers.Get("X-Storage-Policy");
      policy && !policy->empty() && *policy != kPolicy) {
    return Fail(ErrorCode::kInvalid, "there is one storage policy here, Policy-0");
  }
  for (const char* name : {"X-Versions-Location", "X-History-Location", "X-Versions-Enabled"}) {
    const auto value = headers.Get(name);
    if (value && !value->empty() && !http::EqualsIgnoringCase(*value, "false")) {
      return Fail(ErrorCode::kInvalid,
                  std::string(name) + ": this store keeps no older versions of objects");
    }
  }
  for (const char* name : {"X-Container-Sync-To", "X-Container-Sync-Key"}) {
    if (headers.Has(name)) {
      return Fail(ErrorCode::kInvalid, std::string(name) + ": this store does not synchronise");
    }
  }
  return {};
}

}  // namespace

http::Response HandleContainer(const SwiftRequest& request) {
  if (request.is("GET") || request.is("HEAD")) return List(request);
  if (!request.is("PUT") && !request.is("POST") && !request.is("DELETE")) {
    return MethodNotAllowed(kAllowed);
  }
  if (auto allowed = RequireOwner(request); !allowed) return std::move(allowed).error();
  if (request.is("DELETE")) {
    const auto deleted = request.store->DeleteContainer(request.container());
    return deleted ? Empty(204) : StoreErrorResponse(deleted.error());
  }
  if (const auto supported = CheckSupported(request.head->headers); !supported) {
    return http::ErrorResponse(supported.error());
  }
  const auto change = [&](Fields& kept) {
    return ChangeFolderHeaders(request.head->headers, "Container", *request.limits, kept);
  };
  if (request.is("POST")) {
    const auto changed = request.store->ChangeContainer(request.container(), change);
    return changed ? Empty(204) : StoreErrorResponse(changed.error());
  }
  const auto made = request.store->PutContainer(request.container(), change);
  if (!made) return StoreErrorResponse(made.error());
  return Empty(*made ? 201 : 202);
}

}  // namespace zerocloud::store
