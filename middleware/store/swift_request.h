// What the parts of the Swift API share: a request as understood so far, and answers that several
// of them give. Private to this folder.
#pragma once

#include <expected>
#include <string>
#include <string_view>

#include "middleware/http/message.h"
#include "middleware/http/target.h"
#include "middleware/store/access.h"
#include "middleware/store/authenticator.h"
#include "middleware/store/directory_store.h"
#include "middleware/store/metadata.h"

namespace zerocloud::store {

// One request to /v1/account... It refers to the head, so it lives no longer than Begin().
struct SwiftRequest {
  DirectoryStore* store;
  const ApiLimits* limits;
  const http::RequestHead* head;
  http::Query query;
  http::StoragePath path;
  Identity identity;

  [[nodiscard]] bool is_owner() const { return identity.Owns(path.account); }
  [[nodiscard]] bool is(std::string_view method) const { return head->method == method; }
  [[nodiscard]] ContainerKey container() const { return {path.account, path.container}; }
  [[nodiscard]] ObjectPath object() const { return {path.account, path.container, path.object}; }
  [[nodiscard]] std::string_view referer() const {
    return head->headers.Get("Referer").value_or(std::string_view());
  }
};

// The refusal, if the caller lacks the right: 401 for nobody, 403 for somebody.
[[nodiscard]] std::expected<void, http::Response> RequireOwner(const SwiftRequest& request);
[[nodiscard]] std::expected<void, http::Response> RequireRight(const SwiftRequest& request,
                                                               const ContainerKey& key,
                                                               Right right);

// Like http::ErrorResponse, but a full disk is 507.
[[nodiscard]] http::Response StoreErrorResponse(const Error& error);
[[nodiscard]] http::Response MethodNotAllowed(std::string_view allowed);
[[nodiscard]] http::Response Empty(int status);

// account_api.cc, container_api.cc, object_api.cc
[[nodiscard]] http::Response HandleAccount(const SwiftRequest& request);
[[nodiscard]] http::Response HandleContainer(const SwiftRequest& request);
[[nodiscard]] http::Handler::Begun HandleObject(const SwiftRequest& request);

// cors.cc: the answer to OPTIONS, and the fields that let a page of another origin read an answer.
[[nodiscard]] http::Response HandleOptions(const SwiftRequest& request, std::string_view methods);
void AddCorsFields(const SwiftRequest& request, http::Response& response);

}  // namespace zerocloud::store
