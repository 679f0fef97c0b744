#include "middleware/store/embedded_object_store.h"

#include <algorithm>
#include <iterator>

#include "middleware/store/metadata.h"
#include "middleware/store/upload.h"

namespace zerocloud::store {
namespace {

ObjectInfo InfoOf(const ObjectDescription& description) {
  ObjectInfo info;
  info.size = description.size;
  info.etag = description.etag;
  info.content_type = description.content_type;
  info.last_modified = description.timestamp.ToString();
  info.metadata = description.metadata;
  return info;
}

// Pages through a listing until it ends or is longer than `limit`.
template <typename List>
Result<std::vector<ListingEntry>> AllEntries(const std::string& prefix, std::size_t limit,
                                             std::string_view what, const List& list) {
  constexpr std::size_t kPage = 10'000;
  std::vector<ListingEntry> entries;
  ListingQuery query;
  query.prefix = prefix;
  while (true) {
    query.limit = std::min(kPage, limit - entries.size() + 1);
    auto page = list(query);
    if (!page) return Fail(page);
    std::ranges::move(*page, std::back_inserter(entries));
    if (entries.size() > limit) {
      return Fail(ErrorCode::kLimitExceeded, std::string(what) + " beginning with '" + prefix +
                                                 "': more than the limit of " +
                                                 std::to_string(limit));
    }
    if (page->size() < query.limit) return entries;
    query.marker = entries.back().name;
  }
}

}  // namespace

Result<Identity> EmbeddedObjectStore::Identify(const Caller& caller) {
  if (caller.token.empty()) return Identity{};
  auto identity = authenticator_->IdentifyToken(caller.token);
  if (!identity) return Fail(ErrorCode::kForbidden, "the token is not valid any more");
  return *std::move(identity);
}

Result<void> EmbeddedObjectStore::Require(const Caller& caller, const ContainerKey& key,
                                          Right right) {
  const auto identity = Identify(caller);
  if (!identity) return Fail(identity);
  const auto allowed = Allows(*store_, *identity, key, right, "");
  if (!allowed) return Fail(allowed);
  if (*allowed) return {};
  return Fail(
      ErrorCode::kForbidden,
      (identity->is_anonymous() ? std::string("an anonymous caller") : "user " + identity->name) +
          " may not " + (right == Right::kWrite ? "write to" : "read") + " container '" +
          key.container + "' of account '" + key.account + "'");
}

Result<ObjectInfo> EmbeddedObjectStore::Head(const Caller& caller, const ObjectPath& path) {
  const auto opened = Open(caller, path);
  if (!opened) return Fail(opened);
  return opened->info;
}

Result<OpenedObject> EmbeddedObjectStore::Open(const Caller& caller, const ObjectPath& path) {
  if (auto allowed = Require(caller, {path.account, path.container}, Right::kRead); !allowed) {
    return Fail(allowed);
  }
  auto object = store_->OpenObject(path);
  if (!object) return Fail(object);
  return OpenedObject{InfoOf(object->description), std::move(object->file)};
}

Result<std::vector<std::string>> EmbeddedObjectStore::ListContainers(const Caller& caller,
                                                                     const std::string& account,
                                                                     const std::string& prefix,
                                                                     std::size_t limit) {
  const auto identity = Identify(caller);
  if (!identity) return Fail(identity);
  if (!identity->Owns(account)) {
    return Fail(ErrorCode::kForbidden, "only its owner may list account '" + account + "'");
  }
  auto entries =
      AllEntries(prefix, limit, "containers of account '" + account + "'",
                 [&](const ListingQuery& query) { return store_->ListContainers(account, query); });
  if (!entries) return Fail(entries);
  std::vector<std::string> names;
  for (ListingEntry& entry : *entries) names.push_back(std::move(entry.name));
  return names;
}

Result<std::vector<ListedObject>> EmbeddedObjectStore::ListObjects(const Caller& caller,
                                                                   const std::string& account,
                                                                   const std::string& container,
                                                                   const std::string& prefix,
                                                                   std::size_t limit) {
  const ContainerKey key{account, container};
  if (auto allowed = Require(caller, key, Right::kList); !allowed) return Fail(allowed);
  const auto listed = std::chrono::steady_clock::now();
  auto entries =
      AllEntries(prefix, limit, "objects of container '" + container + "'",
                 [&](const ListingQuery& query) { return store_->ListObjects(key, query); });
  if (!entries) return Fail(entries);
  std::vector<ListedObject> objects;
  objects.reserve(entries->size());
  for (ListingEntry& entry : *entries) {
    ListedObject& object = objects.emplace_back();
    object.name = std::move(entry.name);
    object.info.size = entry.bytes;
    object.info.etag = std::move(entry.etag);
    object.info.content_type = std::move(entry.content_type);
    object.info.last_modified = entry.timestamp.ToString();
    object.listed = listed;
  }
  return objects;
}

Result<void> EmbeddedObjectStore::CheckWritable(const Caller& caller, const ObjectPath& path) {
  const ContainerKey key{path.account, path.container};
  if (auto allowed = Require(caller, key, Right::kWrite); !allowed) return allowed;
  if (auto container = store_->DescribeContainer(key); !container) return Fail(container);
  return {};
}

Result<ObjectInfo> EmbeddedObjectStore::Put(const Caller& caller, const NewObject& object, int file,
                                            std::uint64_t size) {
  if (auto writable = CheckWritable(caller, object.path); !writable) return Fail(writable);
  auto upload = store_->BeginUpload();
  if (!upload) return Fail(upload);
  if (auto copied = (*upload)->WriteFile(file, size); !copied) return Fail(copied);
  DirectoryStore::NewDescription description;
  description.content_type =
      object.content_type.empty() ? GuessContentType(object.path.object) : object.content_type;
  for (const auto& [name, value] : object.metadata) {
    description.metadata[TitleCase(name)] = value;
  }
  auto committed = store_->Commit(*std::move(upload), object.path, description);
  if (!committed) return Fail(committed);
  return InfoOf(*committed);
}

}  // namespace zerocloud::store
