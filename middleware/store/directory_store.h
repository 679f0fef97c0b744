// DirectoryStore keeps accounts, containers and objects in a directory:
//
//   DIR/<account>/<container>/<object>    plain files, names escaped as naming.h says
//   DIR/.zerocloud/lock                   held by the one process that owns DIR
//   DIR/.zerocloud/tmp/                   uploads under way; emptied at start
//   DIR/.zerocloud/meta/<account>/...     sidecars: an object's at the same path as its file,
//                                         a container's in "%c", an account's in "%a"
//   DIR/.zerocloud/index.sqlite           the listing index; can be deleted while nobody serves
//
// An object is replaced by one rename(2) of its data file. Before it, the sidecar is rewritten to
// describe both the old and the new file; readers open the data file and take the description that
// fits its size and modification time. So bytes, ETag and metadata change at one point, and after
// kill -9 at any moment an object is old or new. Everything else (temporary files, sidecars without
// a file, index rows) is put right by the scan at the next start. See docs/store.md.
//
// No HTTP here and no rights: callers have decided that the change may be made. Thread-safe.
// Errors: kNotFound, kConflict (container not empty, exists), kInvalid (names), kUnavailable (full
// disk, see IsDiskFull()), kLimitExceeded (size), kInternal.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <shared_mutex>
#include <string>
#include <vector>

#include "channels/base/result.h"
#include "channels/base/unique_fd.h"
#include "middleware/store/description.h"
#include "middleware/store/index.h"
#include "middleware/store/listing.h"
#include "middleware/store/object_store.h"
#include "middleware/store/tree.h"
#include "middleware/store/upload.h"

namespace zerocloud::store {

struct StoreOptions {
  std::string directory;
  Durability durability = Durability::kPower;
  std::uint64_t max_object_size = 5ULL << 30U;
  WallClock clock = SystemWallClock();
};

// What the scan at the start found and did.
struct ScanReport {
  std::uint64_t containers = 0;
  std::uint64_t objects = 0;
  std::uint64_t indexed = 0;    // rows that were missing or out of date
  std::uint64_t unindexed = 0;  // rows whose file is gone
  std::uint64_t leftovers = 0;  // temporary files and sidecars without a file, removed
  std::uint64_t ignored = 0;    // files and folders that are not the store's (names it never makes)
  bool index_was_rebuilt = false;
};

struct StoredObject {
  ObjectDescription description;
  UniqueFd file;
};

struct ContainerInfo {
  FolderDescription description;
  ContainerTotals totals;
};

struct AccountInfo {
  FolderDescription description;
  AccountTotals totals;
};

class DirectoryStore {
 public:
  // Takes the lock, removes leftovers, scans the tree. kConflict: another process owns DIR.
  static Result<std::unique_ptr<DirectoryStore>> Open(StoreOptions options);

  [[nodiscard]] const ScanReport& scan_report() const { return scan_report_; }
  [[nodiscard]] std::uint64_t max_object_size() const { return options_.max_object_size; }
  [[nodiscard]] Timestamp Now() const { return timestamps_.Now(); }

  // Alters the headers of a folder; an error leaves it as it was.
  using ChangeHeaders = std::function<Result<void>(Fields& headers)>;

  // An account that was never written to is there, and empty.
  Result<AccountInfo> HeadAccount(const std::string& account);
  Result<void> ChangeAccount(const std::string& account, const ChangeHeaders& change);
  Result<std::vector<ListingEntry>> ListContainers(const std::string& account,
                                                   const ListingQuery& query);

  // True: made. False: was there; `change` was applied either way.
  Result<bool> PutContainer(const ContainerKey& key, const ChangeHeaders& change);
  Result<ContainerInfo> HeadContainer(const ContainerKey& key);
  // Only what is kept about it, without its totals: what access checks need.
  Result<FolderDescription> DescribeContainer(const ContainerKey& key);
  Result<void> ChangeContainer(const ContainerKey& key, const ChangeHeaders& change);
  Result<void> DeleteContainer(const ContainerKey& key);
  Result<std::vector<ListingEntry>> ListObjects(const ContainerKey& key, const ListingQuery& query);

  Result<StoredObject> OpenObject(const ObjectPath& path);
  // Replaces what POST may change: content type, headers, metadata, delete_at.
  Result<void> ChangeObject(const ObjectPath& path,
                            const std::function<Result<void>(ObjectDescription&)>& change);
  Result<void> DeleteObject(const ObjectPath& path);

  // An upload writes to a temporary file; destroyed before Commit() it leaves nothing.
  Result<std::unique_ptr<Upload>> BeginUpload();
  // What the caller chooses of a new object.
  struct NewDescription {
    std::string content_type;
    std::optional<std::int64_t> delete_at;
    Fields headers;
    Fields metadata;
  };
  // kConflict: `must_be_new` and the object exists.
  Result<ObjectDescription> Commit(std::unique_ptr<Upload> upload, const ObjectPath& path,
                                   const NewDescription& description, bool must_be_new = false);

 private:
  explicit DirectoryStore(StoreOptions options)
      : options_(std::move(options)), timestamps_(options_.clock) {}

  // An object's data file as found, with the description that fits it, if any does.
  struct Found {
    UniqueFd file;
    struct stat status = {};
    std::optional<ObjectDescription> description;

    [[nodiscard]] bool IsExpired(Timestamp now) const {
      return description && description->IsExpired(now);
    }
  };

  static ContainerKey KeyOf(const ObjectPath& path) { return {path.account, path.container}; }
  static std::string PathOf(const ContainerKey& key);
  static std::string PathOf(const ObjectPath& path);
  std::shared_mutex& LockOf(const ContainerKey& key);
  std::mutex& LockOf(const ObjectPath& path);

  Result<void> TakeLock();
  Result<void> Prepare();
  Result<void> OpenIndex();
  Result<void> CleanTemporary();

  Result<Found> Find(const ObjectPath& path);
  Result<std::vector<ObjectDescription>> ReadSidecar(const std::string& path);
  // Returns the sidecar's modification time. Atomic: temporary file and rename.
  Result<std::int64_t> ReplaceSidecar(const std::string& path, const std::string& text,
                                      Timestamp timestamp);
  Result<std::optional<FolderDescription>> ReadFolderSidecar(const std::string& path);
  Result<void> RequireContainer(const ContainerKey& key);
  Result<FolderDescription> DescribeUnlocked(const ContainerKey& key);
  // Computes the ETag of a file that nobody described, and describes it.
  Result<ObjectDescription> Adopt(const ObjectPath& path, const Found& found);
  // The default description of such a file, without its ETag.
  static ObjectDescription Undescribed(const std::string& name, const struct stat& status);

  static IndexedObject RowOf(const std::string& name, const ObjectDescription& description,
                             std::int64_t sidecar_mtime_ns);

  // catch_up.cc. The index follows the tree: a failure is remembered and tried again before the
  // next listing.
  void IndexObject(const ObjectPath& path, const ObjectDescription& description,
                   std::int64_t sidecar_mtime_ns);
  void UnindexObject(const ObjectPath& path);
  Result<void> CatchUp();
  Result<void> Reindex(const ObjectPath& path);
  Result<void> RemoveObject(const ObjectPath& path);
  Result<void> ReapExpired(const ContainerKey& key);

  // scan.cc
  friend class Scan;

  StoreOptions options_;
  TimestampSource timestamps_;
  UniqueFd root_;  // DIR
  UniqueFd lock_file_;
  UniqueFd temporary_;  // DIR/.zerocloud/tmp
  UniqueFd meta_;       // DIR/.zerocloud/meta
  std::string index_path_;
  std::unique_ptr<Index> index_;
  ScanReport scan_report_;

  // Taken in this order: container (shared to change objects in it), then object.
  std::array<std::shared_mutex, 64> container_locks_;
  std::array<std::mutex, 256> object_locks_;
  std::mutex account_lock_;
  std::mutex unindexed_mutex_;
  std::set<ObjectPath> unindexed_;
};

}  // namespace zerocloud::store
