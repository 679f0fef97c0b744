#include "middleware/store/object_store.h"

#include <algorithm>
#include <utility>

namespace zerocloud::store {

std::string JobTrace(std::string_view trans_id) {
  constexpr std::string_view kPrefix = "tx";
  constexpr std::size_t kDigits = 12;
  if (!trans_id.starts_with(kPrefix)) return {};
  return "zc-" + std::string(trans_id.substr(kPrefix.size(), kDigits));
}

std::string SessionTrace(std::string_view job_trace, std::string_view session) {
  constexpr std::size_t kLongest = 32;
  const std::size_t room = kLongest - std::min(kLongest - 1, job_trace.size() + 1);
  if (session.size() > room) session.remove_prefix(session.size() - room);
  return std::string(job_trace) + "-" + std::string(session);
}

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
