// What an identity may do with a container, by ownership and the container's access lists.
#pragma once

#include <string>
#include <string_view>

#include "middleware/store/authenticator.h"
#include "middleware/store/directory_store.h"

namespace zerocloud::store {

enum class Right {
  kRead,   // GET and HEAD of objects
  kList,   // GET and HEAD of the container
  kWrite,  // PUT, POST and DELETE of objects
};

// A container that does not exist gives no right to anybody but the account's owner.
[[nodiscard]] Result<bool> Allows(DirectoryStore& store, const Identity& identity,
                                  const ContainerKey& key, Right right, std::string_view referer);

}  // namespace zerocloud::store
