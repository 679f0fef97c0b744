#include "middleware/store/access.h"

#include "middleware/store/acl.h"

namespace zerocloud::store {

Result<bool> Allows(DirectoryStore& store, const Identity& identity, const ContainerKey& key,
                    Right right, std::string_view referer) {
  if (identity.Owns(key.account)) return true;
  const auto container = store.DescribeContainer(key);
  if (!container) {
    const ErrorCode code = container.error().code;
    if (code == ErrorCode::kNotFound || code == ErrorCode::kInvalid) return false;
    return Fail(container);
  }
  const auto list =
      container->headers.find(right == Right::kWrite ? "X-Container-Write" : "X-Container-Read");
  if (list == container->headers.end()) return false;
  const Acl acl = Acl::Parse(list->second);
  if (acl.AllowsAnyOf(identity.groups)) return true;
  if (right == Right::kWrite || !acl.AllowsReferrer(referer)) return false;
  return right == Right::kRead || acl.referred_may_list;
}

}  // namespace zerocloud::store
