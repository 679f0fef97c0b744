// The question that the job layer asks before it reads a job: may this request run one here, and as
// whom? The embedded store answers it from its own users; a store in front of Swift asks Swift.
#pragma once

#include <expected>
#include <string>

#include "middleware/http/message.h"
#include "middleware/store/object_store.h"

namespace zerocloud::store {

class Authorizer {
 public:
  virtual ~Authorizer() = default;

  // The caller as whom the job's objects are read and written, or the refusal to send (401 without
  // a valid token, 403 without the right). May block. Thread-safe.
  virtual std::expected<Caller, http::Response> AuthorizeJob(const http::RequestHead& head,
                                                             const std::string& account) = 0;
};

}  // namespace zerocloud::store
