// DirectoryStore: how the listing index follows the tree, and how expired objects go.
#include "middleware/store/directory_store.h"

namespace zerocloud::store {

IndexedObject DirectoryStore::RowOf(const std::string& name, const ObjectDescription& description,
                                    std::int64_t sidecar_mtime_ns) {
  IndexedObject row;
  row.name = name;
  row.size = description.size;
  row.etag = description.etag;
  row.content_type = description.content_type;
  row.timestamp = description.timestamp;
  row.delete_at = description.delete_at;
  row.data_mtime_ns = description.mtime_ns;
  row.sidecar_mtime_ns = sidecar_mtime_ns;
  return row;
}

void DirectoryStore::IndexObject(const ObjectPath& path, const ObjectDescription& description,
                                 std::int64_t sidecar_mtime_ns) {
  const auto row = RowOf(path.object, description, sidecar_mtime_ns);
  if (!index_->PutObject(KeyOf(path), row)) {
    const std::scoped_lock lock(unindexed_mutex_);
    unindexed_.insert(path);
  }
}

void DirectoryStore::UnindexObject(const ObjectPath& path) {
  if (!index_->DeleteObject(KeyOf(path), path.object)) {
    const std::scoped_lock lock(unindexed_mutex_);
    unindexed_.insert(path);
  }
}

Result<void> DirectoryStore::CatchUp() {
  while (true) {
    std::optional<ObjectPath> path;
    {
      const std::scoped_lock lock(unindexed_mutex_);
      if (unindexed_.empty()) return {};
      path = *unindexed_.begin();
    }
    if (auto indexed = Reindex(*path); !indexed) return indexed;
    const std::scoped_lock lock(unindexed_mutex_);
    unindexed_.erase(*path);
  }
}

Result<void> DirectoryStore::Reindex(const ObjectPath& path) {
  const std::shared_lock container_lock(LockOf(KeyOf(path)));
  const std::scoped_lock lock(LockOf(path));
  if (auto exists = RequireContainer(KeyOf(path)); !exists) {
    return exists.error().code == ErrorCode::kNotFound ? Result<void>() : exists;
  }
  const auto description = DescribeUnlocked(KeyOf(path));
  if (!description) return Fail(description);
  if (auto put = index_->PutContainer(KeyOf(path), description->created); !put) return put;
  const auto found = Find(path);
  if (!found) {
    if (found.error().code != ErrorCode::kNotFound) return Fail(found);
    return index_->DeleteObject(KeyOf(path), path.object);
  }
  const ObjectDescription object =
      found->description.value_or(Undescribed(path.object, found->status));
  return index_->PutObject(KeyOf(path), RowOf(path.object, object, 0));
}

Result<void> DirectoryStore::ReapExpired(const ContainerKey& key) {
  if (auto caught_up = CatchUp(); !caught_up) return caught_up;
  constexpr std::size_t kBatch = 10'000;
  const auto expired = index_->Expired(key, timestamps_.Now(), kBatch);
  if (!expired) return Fail(expired);
  for (const std::string& name : *expired) {
    const ObjectPath path{key.account, key.container, name};
    const std::shared_lock container_lock(LockOf(key));
    const std::scoped_lock lock(LockOf(path));
    const auto found = Find(path);
    if (!found) {
      UnindexObject(path);
      continue;
    }
    // Written anew since it was listed?
    if (!found->IsExpired(timestamps_.Now())) continue;
    if (auto removed = RemoveObject(path); !removed) return removed;
  }
  return {};
}

}  // namespace zerocloud::store
