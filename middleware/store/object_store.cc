#include "middleware/store/object_store.h"

namespace zerocloud::store {

std::string ObjectPath::ToString() const { return "/" + account + "/" + container + "/" + object; }

Result<OpenedObject> ObjectStore::OpenListed(const Caller& caller, const ObjectPath& path,
                                             const ListedObject& /*listed*/) {
  return Open(caller, path);
}

}  // namespace zerocloud::store
