// PUT and COPY of objects: what a request says about a new object, and the exchanges that take its
// bytes. Private to this folder.
#pragma once

#include "middleware/http/message.h"
#include "middleware/store/directory_store.h"
#include "middleware/store/swift_request.h"

namespace zerocloud::store {

// Content type (guessed if absent), kept headers, metadata and expiry of a PUT or POST. kInvalid:
// over a limit, not UTF-8, expired already, or a feature that this store does not have.
[[nodiscard]] Result<DirectoryStore::NewDescription> ReadNewDescription(
    const SwiftRequest& request);

[[nodiscard]] http::Handler::Begun BeginPut(const SwiftRequest& request);
[[nodiscard]] http::Handler::Begun BeginCopy(const SwiftRequest& request);

}  // namespace zerocloud::store
