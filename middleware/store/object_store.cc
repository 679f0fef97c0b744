#include "middleware/store/object_store.h"

namespace zerocloud::store {

std::string ObjectPath::ToString() const { return "/" + account + "/" + container + "/" + object; }

}  // namespace zerocloud::store
