#include "middleware/swift/local_object_store.h"

#include <utility>

namespace zerocloud::swift {
namespace {

constexpr const char* kNotHere = "the rings place it on other hosts";  // or list_endpoints does

store::OpenedObject InPlace(store::ObjectInfo info, UniqueFd file) {
  return {.info = std::move(info),
          .file = std::move(file),
          .is_in_place = true,
          .is_immutable = true,
          .why_not = {},
          .late_failure = {}};
}

}  // namespace

Result<store::ObjectInfo> LocalObjectStore::Head(const store::Caller& caller,
                                                 const store::ObjectPath& path) {
  return remote_.Head(caller, path);
}

Result<store::OpenedObject> LocalObjectStore::OpenRemote(const store::Caller& caller,
                                                         const store::ObjectPath& path,
                                                         const store::InputHints& hints,
                                                         std::string why) {
  Result<store::OpenedObject> opened = remote_.OpenInput(caller, path, hints);
  if (opened) opened->why_not = std::move(why);
  return opened;
}

Result<store::OpenedObject> LocalObjectStore::Open(const store::Caller& caller,
                                                   const store::ObjectPath& path) {
  return OpenInput(caller, path, {});
}

Result<store::OpenedObject> LocalObjectStore::OpenInput(const store::Caller& caller,
                                                        const store::ObjectPath& path,
                                                        const store::InputHints& hints) {
  const bool is_vouched_for =
      hints.listed != nullptr &&
      std::chrono::steady_clock::now() - hints.listed->listed <= listing_age_;
  // A handoff is worth no request.
  const Result<LocalObjects::Places> places = local_.Locate(caller, path);
  if (!places) return OpenRemote(caller, path, hints, places.error().message);
  const bool is_placed_here = !places->primary.empty();
  if (!is_placed_here && !is_vouched_for) return OpenRemote(caller, path, hints, kNotHere);
  store::ObjectInfo said;
  if (is_vouched_for) {
    said = hints.listed->info;
  } else {
    Result<store::ObjectInfo> told = remote_.Head(caller, path);
    if (!told) return Fail(told);
    said = std::move(*told);
  }
  Result<UniqueFd> file = local_.Find(*places, path, said);
  const bool is_elsewhere = !file && !is_placed_here && file.error().code == ErrorCode::kNotFound;
  if (is_elsewhere) return OpenRemote(caller, path, hints, kNotHere);
  if (!file) return OpenRemote(caller, path, hints, file.error().message);
  return InPlace(std::move(said), std::move(*file));
}

Result<std::vector<std::string>> LocalObjectStore::ListContainers(const store::Caller& caller,
                                                                  const std::string& account,
                                                                  const std::string& prefix,
                                                                  std::size_t limit) {
  return remote_.ListContainers(caller, account, prefix, limit);
}

Result<std::vector<store::ListedObject>> LocalObjectStore::ListObjects(const store::Caller& caller,
                                                                       const std::string& account,
                                                                       const std::string& container,
                                                                       const std::string& prefix,
                                                                       std::size_t limit) {
  return remote_.ListObjects(caller, account, container, prefix, limit);
}

Result<void> LocalObjectStore::CheckWritable(const store::Caller& caller,
                                             const store::ObjectPath& path) {
  return remote_.CheckWritable(caller, path);
}

Result<store::ObjectInfo> LocalObjectStore::Put(const store::Caller& caller,
                                                const store::NewObject& object, int file,
                                                std::uint64_t size) {
  return remote_.Put(caller, object, file, size);
}

}  // namespace zerocloud::swift
