// GET, HEAD and POST of /v1/account.
#include "middleware/http/reply.h"
#include "middleware/store/listing_format.h"
#include "middleware/store/swift_request.h"

namespace zerocloud::store {
namespace {

constexpr std::string_view kAllowed = "GET, HEAD, POST, OPTIONS";

void SetAccountHeaders(const AccountInfo& info, http::Response& response) {
  http::Headers& headers = response.headers;
  headers.Set("X-Account-Container-Count", std::to_string(info.totals.containers));
  headers.Set("X-Account-Object-Count", std::to_string(info.totals.objects));
  headers.Set("X-Account-Bytes-Used", std::to_string(info.totals.bytes));
  headers.Set("X-Timestamp", info.description.created.ToString());
  headers.Set("Accept-Ranges", "bytes");
  for (const auto& [name, value] : info.description.headers) headers.Set(name, value);
}

http::Response List(const SwiftRequest& request) {
  auto format = ChooseFormat(request.query, request.head->headers);
  if (!format) return std::move(format).error();
  auto query = ReadListingQuery(request.query, request.limits->listing_limit);
  if (!query) return std::move(query).error();
  const auto info = request.store->HeadAccount(request.path.account);
  if (!info) return StoreErrorResponse(info.error());
  http::Response response;
  if (request.is("HEAD")) {
    response = Empty(204);
    response.headers.Set("Content-Type", "text/plain; charset=utf-8");
  } else {
    const auto entries = request.store->ListContainers(request.path.account, *query);
    if (!entries) return StoreErrorResponse(entries.error());
    response = RenderListing(*entries, *format, ListingOf::kContainers, request.path.account);
  }
  SetAccountHeaders(*info, response);
  return response;
}

}  // namespace

http::Response HandleAccount(const SwiftRequest& request) {
  if (auto allowed = RequireOwner(request); !allowed) return std::move(allowed).error();
  if (request.is("GET") || request.is("HEAD")) return List(request);
  if (request.is("POST")) {
    const auto changed = request.store->ChangeAccount(request.path.account, [&](Fields& kept) {
      return ChangeFolderHeaders(request.head->headers, "Account", *request.limits, kept);
    });
    if (!changed) return StoreErrorResponse(changed.error());
    return Empty(204);
  }
  return MethodNotAllowed(kAllowed);
}

}  // namespace zerocloud::store
