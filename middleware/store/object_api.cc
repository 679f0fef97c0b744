// GET, HEAD, POST and DELETE of /v1/account/container/object; PUT and COPY are in object_put.cc.
#include <openssl/rand.h>

#include <array>
#include <span>

#include "middleware/digest/hex.h"
#include "middleware/http/conditional.h"
#include "middleware/http/date.h"
#include "middleware/http/file_body.h"
#include "middleware/http/range.h"
#include "middleware/http/reply.h"
#include "middleware/store/object_put.h"
#include "middleware/store/swift_request.h"

namespace zerocloud::store {
namespace {

constexpr std::string_view kAllowed = "GET, HEAD, PUT, POST, DELETE, COPY, OPTIONS";

void SetObjectHeaders(const ObjectDescription& description, http::Headers& headers) {
  headers.Set("Content-Type", description.content_type);
  headers.Set("Etag", description.etag);
  headers.Set("Last-Modified", http::FormatDate(description.timestamp.CeilSeconds()));
  headers.Set("X-Timestamp", description.timestamp.ToString());
  headers.Set("Accept-Ranges", "bytes");
  for (const auto& [name, value] : description.headers) headers.Set(name, value);
  for (const auto& [name, value] : description.metadata) {
    headers.Set("X-Object-Meta-" + name, value);
  }
  if (description.delete_at) headers.Set("X-Delete-At", std::to_string(*description.delete_at));
}

std::string NewBoundary() {
  std::array<unsigned char, 16> bytes{};
  // A failing generator leaves zeros: a poor boundary, but still a correct one for most bytes.
  RAND_bytes(bytes.data(), static_cast<int>(bytes.size()));
  return digest::ToHex(std::as_bytes(std::span(bytes)));
}

// The body of a 200 or 206, or 416, by the Range field.
http::Response WithBody(const http::Headers& headers, StoredObject object,
                        http::Response response) {
  const ObjectDescription& description = object.description;
  const std::uint64_t size = description.size;
  auto file = std::make_shared<UniqueFd>(std::move(object.file));
  http::RangeRequest range;
  if (http::RangeApplies(headers, description.etag, description.timestamp.CeilSeconds())) {
    range = http::ParseRange(headers.Get("Range").value_or(std::string_view()), size);
  }
  switch (range.kind) {
    case http::RangeRequest::Kind::kUnsatisfiable: {
      http::Response refusal = http::TextResponse(
          416, "The object has " + std::to_string(size) + " bytes; none of the ranges lies in it.");
      refusal.headers.Set("Content-Range", "bytes */" + std::to_string(size));
      return refusal;
    }
    case http::RangeRequest::Kind::kWhole:
      response.body_size = size;
      response.body = std::make_unique<http::FileBody>(std::move(file), 0, size);
      return response;
    case http::RangeRequest::Kind::kPartial:
      break;
  }
  response.status = 206;
  if (range.ranges.size() == 1) {
    const http::ByteRange& part = range.ranges.front();
    response.headers.Set("Content-Range", "bytes " + std::to_string(part.offset) + "-" +
                                              std::to_string(part.offset + part.length - 1) + "/" +
                                              std::to_string(size));
    response.body_size = part.length;
    response.body = std::make_unique<http::FileBody>(std::move(file), part.offset, part.length);
    return response;
  }
  const std::string boundary = NewBoundary();
  auto body = std::make_unique<http::MultipartBody>(std::move(file), range.ranges, size,
                                                    description.content_type, boundary);
  response.headers.Set("Content-Type", "multipart/byteranges; boundary=" + boundary);
  response.body_size = body->size();
  response.body = std::move(body);
  return response;
}

http::Response Get(const SwiftRequest& request) {
  if (auto allowed = RequireRight(request, request.container(), Right::kRead); !allowed) {
    return std::move(allowed).error();
  }
  auto object = request.store->OpenObject(request.object());
  if (!object) return StoreErrorResponse(object.error());
  const ObjectDescription& description = object->description;
  http::Response response = Empty(200);
  SetObjectHeaders(description, response.headers);
  switch (http::EvaluatePreconditions(request.head->headers, description.etag,
                                      description.timestamp.CeilSeconds())) {
    case http::Precondition::kNotModified:
      response.status = 304;
      return response;
    case http::Precondition::kFailed:
      response = http::TextResponse(412, "The object's ETag is " + description.etag +
                                             "; the condition of the request does not hold.");
      response.headers.Set("Etag", description.etag);
      return response;
    case http::Precondition::kHolds:
      break;
  }
  if (request.is("HEAD")) {
    response.declared_length = description.size;
    return response;
  }
  return WithBody(request.head->headers, *std::move(object), std::move(response));
}

http::Response Post(const SwiftRequest& request) {
  if (auto allowed = RequireRight(request, request.container(), Right::kWrite); !allowed) {
    return std::move(allowed).error();
  }
  const http::Headers& headers = request.head->headers;
  auto chosen = ReadNewDescription(request);
  if (!chosen) return http::ErrorResponse(chosen.error());
  const auto changed =
      request.store->ChangeObject(request.object(), [&](ObjectDescription& kept) -> Result<void> {
        if (headers.Has("Content-Type")) kept.content_type = chosen->content_type;
        kept.delete_at = chosen->delete_at;
        kept.headers = chosen->headers;
        kept.metadata = chosen->metadata;
        return {};
      });
  return changed ? Empty(202) : StoreErrorResponse(changed.error());
}

http::Response Delete(const SwiftRequest& request) {
  if (auto allowed = RequireRight(request, request.container(), Right::kWrite); !allowed) {
    return std::move(allowed).error();
  }
  const auto deleted = request.store->DeleteObject(request.object());
  return deleted ? Empty(204) : StoreErrorResponse(deleted.error());
}

}  // namespace

http::Handler::Begun HandleObject(const SwiftRequest& request) {
  if (request.is("GET") || request.is("HEAD")) return Get(request);
  if (request.is("PUT")) return BeginPut(request);
  if (request.is("COPY")) return BeginCopy(request);
  if (request.is("POST")) return Post(request);
  if (request.is("DELETE")) return Delete(request);
  return MethodNotAllowed(kAllowed);
}

}  // namespace zerocloud::store
