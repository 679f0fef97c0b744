#include "middleware/store/scan.h"

#include <fcntl.h>
#include <unistd.h>

#include <set>

#include "middleware/store/naming.h"
#include "middleware/store/tree.h"

namespace zerocloud::store {
namespace {

constexpr const char* kOwnFolder = ".zerocloud";
constexpr const char* kContainerSidecar = "%c";

}  // namespace

Result<ScanReport> Scan::Run() {
  const int root = store_->root_.get();
  const auto accounts = Folders(root, "", true);
  if (!accounts) return Fail(accounts);
  std::set<ContainerKey> present;
  for (const Folder& account : *accounts) {
    const auto containers = Folders(root, account.path, true);
    if (!containers) return Fail(containers);
    for (const Folder& container : *containers) {
      const ContainerKey key{account.name, container.name};
      const auto scanned =
          store_->index_->Transact([&] { return ScanContainer(key, container.path); });
      if (!scanned) return Fail(scanned);
      present.insert(key);
      container_paths_.insert(container.path);
      ++report_.containers;
    }
  }
  const auto known = store_->index_->AllContainers();
  if (!known) return Fail(known);
  for (const ContainerKey& key : *known) {
    if (present.contains(key)) continue;
    const auto deleted =
        store_->index_->Transact([&] { return store_->index_->DeleteContainer(key); });
    if (!deleted) return Fail(deleted);
  }
  if (auto swept = SweepMeta(); !swept) return Fail(swept);
  return report_;
}

Result<std::vector<Scan::Folder>> Scan::Folders(int root, const std::string& parent,
                                                bool count_ignored) {
  std::vector<Folder> folders;
  std::vector<std::string> pending = {""};  // beneath `parent`; grows by parts of long names
  while (!pending.empty()) {
    const std::string part = std::move(pending.back());
    pending.pop_back();
    const std::string at = part.empty() ? parent : (parent.empty() ? part : JoinPath(parent, part));
    const auto visited = ForEachEntry(
        root, at, [&](const std::string& name, const struct stat& status) -> Result<void> {
          if (parent.empty() && part.empty() && name == kOwnFolder) return {};
          const std::string path = JoinPath(part, name);
          if (!S_ISDIR(status.st_mode)) {
            if (count_ignored) ++report_.ignored;
          } else if (IsContinuation(name)) {
            pending.push_back(path);
          } else if (auto decoded = DecodeFolder(path)) {
            folders.push_back({*std::move(decoded), JoinPath(parent, path)});
          } else if (count_ignored) {
            ++report_.ignored;
          }
          return {};
        });
    if (!visited) return Fail(visited);
  }
  return folders;
}

Result<void> Scan::ScanContainer(const ContainerKey& key, const std::string& path) {
  rows_.clear();
  object_paths_.clear();
  const auto described = store_->DescribeUnlocked(key);
  // A damaged description must not keep the store from starting; requests will say so.
  const Timestamp created = described ? described->created : Timestamp{};
  if (auto put = store_->index_->PutContainer(key, created); !put) return put;
  auto loaded = store_->index_->ForEachObject(
      key, [&](IndexedObject row) { rows_.emplace(row.name, std::move(row)); });
  if (!loaded) return loaded;

  std::vector<std::string> pending = {""};
  while (!pending.empty()) {
    const std::string folder = std::move(pending.back());
    pending.pop_back();
    if (auto scanned = ScanFolder(key, path, folder, pending); !scanned) return scanned;
  }
  for (const auto& [name, row] : rows_) {
    ++report_.unindexed;
    if (auto deleted = store_->index_->DeleteObject(key, name); !deleted) return deleted;
  }
  return SweepSidecars(path);
}

Result<void> Scan::ScanFolder(const ContainerKey& key, const std::string& container_path,
                              const std::string& folder, std::vector<std::string>& pending) {
  const std::string at = folder.empty() ? container_path : JoinPath(container_path, folder);
  const auto sidecars = OpenFolder(store_->meta_.get(), at);
  return ForEachEntry(
      store_->root_.get(), at,
      [&](const std::string& file_name, const struct stat& status) -> Result<void> {
        const std::string path = JoinPath(folder, file_name);
        if (S_ISDIR(status.st_mode) && IsSlashFolder(file_name)) {
          pending.push_back(path);
          return {};
        }
        if (S_ISDIR(status.st_mode) && IsContinuation(file_name)) {
          pending.push_back(path);
          return {};
        }
        auto name = S_ISREG(status.st_mode) ? DecodeObject(path) : std::nullopt;
        if (!name) {
          ++report_.ignored;
          return {};
        }
        ++report_.objects;
        object_paths_.insert(path);
        struct stat sidecar = {};
        const bool has_sidecar = sidecars && ::fstatat(sidecars->get(), file_name.c_str(), &sidecar,
                                                       AT_SYMLINK_NOFOLLOW) == 0;
        const std::int64_t sidecar_mtime = has_sidecar ? MtimeOf(sidecar) : 0;
        const auto known = rows_.find(*name);
        if (known != rows_.end()) {
          const IndexedObject row = std::move(known->second);
          rows_.erase(known);
          if (row.size == static_cast<std::uint64_t>(status.st_size) &&
              row.data_mtime_ns == MtimeOf(status) && row.sidecar_mtime_ns == sidecar_mtime) {
            return {};
          }
        }
        ++report_.indexed;
        ObjectDescription description = DirectoryStore::Undescribed(*name, status);
        if (has_sidecar) {
          if (const auto all = store_->ReadSidecar(JoinPath(container_path, path))) {
            const auto* const fitting =
                FindDescription(*all, description.size, description.mtime_ns, description.inode);
            if (fitting != nullptr) description = *fitting;
          }
        }
        const auto row = DirectoryStore::RowOf(*name, description, sidecar_mtime);
        return store_->index_->PutObject(key, row);
      });
}

Result<void> Scan::SweepSidecars(const std::string& container_path) {
  const int meta = store_->meta_.get();
  std::vector<std::string> pending = {""};
  std::vector<std::string> leftovers;
  while (!pending.empty()) {
    const std::string folder = std::move(pending.back());
    pending.pop_back();
    const std::string at = folder.empty() ? container_path : JoinPath(container_path, folder);
    const auto visited = ForEachEntry(
        meta, at, [&](const std::string& name, const struct stat& status) -> Result<void> {
          const std::string path = JoinPath(folder, name);
          if (S_ISDIR(status.st_mode)) {
            pending.push_back(path);
          } else if (path != kContainerSidecar && !object_paths_.contains(path)) {
            leftovers.push_back(JoinPath(container_path, path));
          }
          return {};
        });
    if (!visited && visited.error().code != ErrorCode::kNotFound) return visited;
  }
  for (const std::string& path : leftovers) {
    ++report_.leftovers;
    if (auto removed = RemoveFile(meta, path, Durability::kProcess); !removed) return removed;
  }
  return {};
}

Result<void> Scan::SweepMeta() {
  const int meta = store_->meta_.get();
  const auto accounts = Folders(meta, "", false);
  if (!accounts) return Fail(accounts);
  for (const Folder& account : *accounts) {
    const auto containers = Folders(meta, account.path, false);
    if (!containers) return Fail(containers);
    for (const Folder& container : *containers) {
      if (container_paths_.contains(container.path)) continue;
      ++report_.leftovers;
      if (auto removed = RemoveTree(meta, container.path); !removed) return removed;
    }
    PruneFolders(meta, account.path);
  }
  return {};
}

}  // namespace zerocloud::store
