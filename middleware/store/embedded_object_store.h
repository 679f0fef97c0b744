// EmbeddedObjectStore: the embedded store as jobs see it. Every call looks the caller's token up
// again, so a right that is taken away, or a token that has expired, is gone at once.
#pragma once

#include "middleware/store/access.h"
#include "middleware/store/authenticator.h"
#include "middleware/store/directory_store.h"
#include "middleware/store/object_store.h"

namespace zerocloud::store {

class EmbeddedObjectStore : public ObjectStore {
 public:
  // Both outlive it.
  EmbeddedObjectStore(DirectoryStore& store, Authenticator& authenticator)
      : store_(&store), authenticator_(&authenticator) {}

  Result<ObjectInfo> Head(const Caller& caller, const ObjectPath& path) override;
  Result<OpenedObject> Open(const Caller& caller, const ObjectPath& path) override;
  Result<std::vector<std::string>> ListContainers(const Caller& caller, const std::string& account,
                                                  const std::string& prefix,
                                                  std::size_t limit) override;
  Result<std::vector<ListedObject>> ListObjects(const Caller& caller, const std::string& account,
                                                const std::string& container,
                                                const std::string& prefix,
                                                std::size_t limit) override;
  Result<void> CheckWritable(const Caller& caller, const ObjectPath& path) override;
  // Copies the file; `file` is only read, by position.
  Result<ObjectInfo> Put(const Caller& caller, const NewObject& object, int file,
                         std::uint64_t size) override;

 private:
  Result<Identity> Identify(const Caller& caller);
  Result<void> Require(const Caller& caller, const ContainerKey& key, Right right);

  DirectoryStore* store_;
  Authenticator* authenticator_;
};

}  // namespace zerocloud::store
