// LocalObjectStore: objects of a Swift cluster as jobs see them, of which those that lie on this
// host are opened in place. Everything else, and every question of rights, goes to the store behind
// it.
//
// Swift is asked first, always as the caller: by a HEAD for one object, or by the listing that
// found it (docs/swift.md says how far a listing's word goes). Only then is a device looked at.
#pragma once

#include <chrono>

#include "middleware/store/object_store.h"
#include "middleware/swift/local_objects.h"

namespace zerocloud::swift {

class LocalObjectStore : public store::ObjectStore {
 public:
  // A listing vouches for what it names for `listing_age`; zero: never. Both outlive it.
  LocalObjectStore(store::ObjectStore& remote, LocalObjects& local,
                   std::chrono::steady_clock::duration listing_age)
      : remote_(remote), local_(local), listing_age_(listing_age) {}

  Result<store::ObjectInfo> Head(const store::Caller& caller,
                                 const store::ObjectPath& path) override;
  Result<store::OpenedObject> Open(const store::Caller& caller,
                                   const store::ObjectPath& path) override;
  Result<store::OpenedObject> OpenInput(const store::Caller& caller, const store::ObjectPath& path,
                                        const store::InputHints& hints) override;
  Result<std::vector<std::string>> ListContainers(const store::Caller& caller,
                                                  const std::string& account,
                                                  const std::string& prefix,
                                                  std::size_t limit) override;
  Result<std::vector<store::ListedObject>> ListObjects(const store::Caller& caller,
                                                       const std::string& account,
                                                       const std::string& container,
                                                       const std::string& prefix,
                                                       std::size_t limit) override;
  Result<void> CheckWritable(const store::Caller& caller, const store::ObjectPath& path) override;
  Result<store::ObjectInfo> Put(const store::Caller& caller, const store::NewObject& object,
                                int file, std::uint64_t size) override;

 private:
  // By HTTP, because of `why`.
  Result<store::OpenedObject> OpenRemote(const store::Caller& caller, const store::ObjectPath& path,
                                         const store::InputHints& hints, std::string why);

  store::ObjectStore& remote_;
  LocalObjects& local_;
  const std::chrono::steady_clock::duration listing_age_;
};

}  // namespace zerocloud::swift
