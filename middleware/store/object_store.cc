#include "middleware/store/object_store.h"

#include <utility>

namespace zerocloud::store {

std::string ObjectPath::ToString() const { return "/" + account + "/" + container + "/" + object; }

Result<OpenedObject> ObjectStore::OpenInput(const Caller& caller, const ObjectPath& path,
                                            const InputHints& /*hints*/) {
  return Open(caller, path);
}

void LateFailure::Set(Error error) {
  const std::lock_guard lock(mutex_);
  if (!error_) error_ = std::move(error);
}

std::optional<Error> LateFailure::Get() const {
  const std::lock_guard lock(mutex_);
  return error_;
}

}  // namespace zerocloud::store
