#include "middleware/store/directory_store.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <functional>

#include "middleware/http/text.h"
#include "middleware/store/naming.h"
#include "middleware/store/upload.h"

namespace zerocloud::store {
namespace {

// Most bytes that one description may hold in names and values; escaped as JSON, two of them stay
// below kMaxSidecar.
constexpr std::size_t kMaxDescribed = 40'000;

constexpr const char* kContainerSidecar = "%c";
constexpr const char* kAccountSidecar = "%a";

Result<void> CheckNames(const ContainerKey& key) {
  if (auto checked = CheckAccountName(key.account); !checked) return checked;
  return CheckContainerName(key.container);
}

Result<void> CheckNames(const ObjectPath& path) {
  if (auto checked = CheckNames(ContainerKey{path.account, path.container}); !checked) {
    return checked;
  }
  return CheckObjectName(path.object);
}

std::unexpected<Error> NoContainer(const ContainerKey& key) {
  return Fail(ErrorCode::kNotFound,
              "there is no container '" + key.container + "' in account '" + key.account + "'");
}

std::unexpected<Error> NoObject(const ObjectPath& path) {
  return Fail(ErrorCode::kNotFound, "there is no object '" + path.object + "' in container '" +
                                        path.container + "' of account '" + path.account + "'");
}

// Unique within the process, which owns the temporary folder.
std::string TemporaryName() {
  static std::atomic<std::uint64_t> counter = 0;
  return std::to_string(counter.fetch_add(1, std::memory_order_relaxed));
}

// Whether it can stand in a header field: no byte that could end it.
bool IsFieldText(std::string_view text) {
  return http::IsUtf8(text) && std::ranges::none_of(text, [](char c) {
           const auto byte = static_cast<unsigned char>(c);
           return (byte < 0x20 && c != '\t') || byte == 0x7f;
         });
}

bool IsFieldName(std::string_view name) {
  return !name.empty() && IsFieldText(name) && name.find_first_of(" \t:") == std::string_view::npos;
}

// The store gives descriptions back as header fields and keeps them as JSON; jobs write them too.
Result<void> CheckDescription(const ObjectDescription& description) {
  std::size_t bytes = description.content_type.size();
  bool is_clean = IsFieldText(description.content_type);
  for (const Fields* fields : {&description.headers, &description.metadata}) {
    for (const auto& [name, value] : *fields) {
      is_clean = is_clean && IsFieldName(name) && IsFieldText(value);
      bytes += name.size() + value.size();
    }
    if (fields->size() > kMaxFields) bytes = kMaxDescribed + 1;
  }
  if (!is_clean) {
    return Fail(ErrorCode::kInvalid,
                "content type, headers and metadata must be UTF-8 without control characters");
  }
  if (bytes > kMaxDescribed) {
    return Fail(ErrorCode::kInvalid,
                "content type, headers and metadata together are longer than " +
                    std::to_string(kMaxDescribed) + " bytes");
  }
  return {};
}

}  // namespace

std::string DirectoryStore::PathOf(const ContainerKey& key) {
  return JoinPath(EncodeFolder(key.account), EncodeFolder(key.container));
}

std::string DirectoryStore::PathOf(const ObjectPath& path) {
  return JoinPath(PathOf(KeyOf(path)), EncodeObject(path.object));
}

std::shared_mutex& DirectoryStore::LockOf(const ContainerKey& key) {
  const std::size_t hash = std::hash<std::string>()(key.account + '/' + key.container);
  return container_locks_[hash % container_locks_.size()];
}

std::mutex& DirectoryStore::LockOf(const ObjectPath& path) {
  return object_locks_[std::hash<std::string>()(path.ToString()) % object_locks_.size()];
}

// ---- sidecars

Result<std::vector<ObjectDescription>> DirectoryStore::ReadSidecar(const std::string& path) {
  const auto file = OpenBeneath(meta_.get(), path, O_RDONLY);
  if (!file) return Fail(file);
  const auto text = ReadWhole(file->get(), kMaxSidecar);
  if (!text) return Fail(text);
  return ParseSidecar(*text);
}

Result<std::int64_t> DirectoryStore::ReplaceSidecar(const std::string& path,
                                                    const std::string& text, Timestamp timestamp) {
  auto upload = Upload::Begin(temporary_.get(), TemporaryName(), kMaxSidecar);
  if (!upload) return Fail(upload);
  Upload& file = **upload;
  if (auto written = WriteAll(file.fd(), text.data(), text.size()); !written) return Fail(written);
  // Its time makes a scan see that the description has changed.
  if (auto set = SetMtime(file.fd(), timestamp.ToNanoseconds()); !set) return Fail(set);
  const auto status = StatOf(file.fd());
  if (!status) return Fail(status);
  if (options_.durability == Durability::kPower && ::fsync(file.fd()) != 0) {
    return std::unexpected<Error>(WriteError("fsync of a sidecar", errno));
  }
  auto renamed = RenameInto(temporary_.get(), file.name(), meta_.get(), path, options_.durability);
  if (!renamed) return Fail(renamed);
  file.Release();
  return MtimeOf(*status);
}

Result<std::optional<FolderDescription>> DirectoryStore::ReadFolderSidecar(
    const std::string& path) {
  const auto file = OpenBeneath(meta_.get(), path, O_RDONLY);
  if (!file) {
    if (file.error().code == ErrorCode::kNotFound) return std::optional<FolderDescription>();
    return Fail(file);
  }
  const auto text = ReadWhole(file->get(), kMaxSidecar);
  if (!text) return Fail(text);
  auto description = ParseFolderSidecar(*text);
  if (!description) {
    return Fail(ErrorCode::kInternal, "'" + path + "': " + description.error().message);
  }
  return std::optional<FolderDescription>(*std::move(description));
}

// ---- accounts

Result<AccountInfo> DirectoryStore::HeadAccount(const std::string& account) {
  if (auto checked = CheckAccountName(account); !checked) return Fail(checked);
  if (auto caught_up = CatchUp(); !caught_up) return Fail(caught_up);
  auto description = ReadFolderSidecar(JoinPath(EncodeFolder(account), kAccountSidecar));
  if (!description) return Fail(description);
  auto totals = index_->TotalsOf(account);
  if (!totals) return Fail(totals);
  // An account that nobody described is as old as its oldest container.
  const FolderDescription undescribed{totals->oldest, totals->oldest, {}};
  return AccountInfo{description->value_or(undescribed), *totals};
}

Result<void> DirectoryStore::ChangeAccount(const std::string& account,
                                           const ChangeHeaders& change) {
  if (auto checked = CheckAccountName(account); !checked) return checked;
  const std::scoped_lock lock(account_lock_);
  const std::string path = JoinPath(EncodeFolder(account), kAccountSidecar);
  auto found = ReadFolderSidecar(path);
  if (!found) return Fail(found);
  const Timestamp now = timestamps_.Next();
  FolderDescription description = found->value_or(FolderDescription{now, now, {}});
  if (auto changed = change(description.headers); !changed) return changed;
  description.changed = now;
  if (auto replaced = ReplaceSidecar(path, WriteFolderSidecar(description), now); !replaced) {
    return Fail(replaced);
  }
  return {};
}

Result<std::vector<ListingEntry>> DirectoryStore::ListContainers(const std::string& account,
                                                                 const ListingQuery& query) {
  if (auto checked = CheckAccountName(account); !checked) return Fail(checked);
  if (auto caught_up = CatchUp(); !caught_up) return Fail(caught_up);
  return index_->ListContainers(account, query);
}

// ---- containers

Result<void> DirectoryStore::RequireContainer(const ContainerKey& key) {
  const auto folder = OpenFolder(root_.get(), PathOf(key));
  if (folder) return {};
  if (folder.error().code == ErrorCode::kNotFound) return NoContainer(key);
  return Fail(folder);
}

Result<FolderDescription> DirectoryStore::DescribeUnlocked(const ContainerKey& key) {
  const auto folder = OpenFolder(root_.get(), PathOf(key));
  if (!folder) {
    if (folder.error().code == ErrorCode::kNotFound) return NoContainer(key);
    return Fail(folder);
  }
  auto description = ReadFolderSidecar(JoinPath(PathOf(key), kContainerSidecar));
  if (!description) return Fail(description);
  if (std::optional<FolderDescription>& known = *description; known) return *std::move(known);
  // Somebody made the folder by hand.
  const auto status = StatOf(folder->get());
  if (!status) return Fail(status);
  const Timestamp made = Timestamp::FromNanoseconds(MtimeOf(*status));
  return FolderDescription{made, made, {}};
}

Result<FolderDescription> DirectoryStore::DescribeContainer(const ContainerKey& key) {
  if (auto checked = CheckNames(key); !checked) return Fail(checked);
  return DescribeUnlocked(key);
}

Result<bool> DirectoryStore::PutContainer(const ContainerKey& key, const ChangeHeaders& change) {
  if (auto checked = CheckNames(key); !checked) return Fail(checked);
  const std::unique_lock lock(LockOf(key));
  const bool is_new = !RequireContainer(key);
  const Timestamp now = timestamps_.Next();
  FolderDescription description{now, now, {}};
  if (!is_new) {
    auto found = DescribeUnlocked(key);
    if (!found) return Fail(found);
    description = *std::move(found);
    description.changed = now;
  }
  if (auto changed = change(description.headers); !changed) return Fail(changed);
  const std::string path = PathOf(key);
  const auto replaced =
      ReplaceSidecar(JoinPath(path, kContainerSidecar), WriteFolderSidecar(description), now);
  if (!replaced) return Fail(replaced);
  // The folder's appearance is the commit.
  const auto folder = MakeFolder(root_.get(), path, options_.durability);
  if (!folder) return Fail(folder);
  if (auto indexed = index_->PutContainer(key, description.created); !indexed) {
    return Fail(indexed);
  }
  return is_new;
}

Result<ContainerInfo> DirectoryStore::HeadContainer(const ContainerKey& key) {
  if (auto checked = CheckNames(key); !checked) return Fail(checked);
  if (auto reaped = ReapExpired(key); !reaped) return Fail(reaped);
  auto description = DescribeUnlocked(key);
  if (!description) return Fail(description);
  auto totals = index_->TotalsOf(key);
  if (!totals) {
    // Made by hand since the start: it is there, and its files are counted at the next start.
    if (totals.error().code != ErrorCode::kNotFound) return Fail(totals);
    return ContainerInfo{*std::move(description), {}};
  }
  return ContainerInfo{*std::move(description), *totals};
}

Result<void> DirectoryStore::ChangeContainer(const ContainerKey& key, const ChangeHeaders& change) {
  if (auto checked = CheckNames(key); !checked) return checked;
  const std::unique_lock lock(LockOf(key));
  auto description = DescribeUnlocked(key);
  if (!description) return Fail(description);
  if (auto changed = change(description->headers); !changed) return changed;
  description->changed = timestamps_.Next();
  const auto replaced = ReplaceSidecar(JoinPath(PathOf(key), kContainerSidecar),
                                       WriteFolderSidecar(*description), description->changed);
  if (!replaced) return Fail(replaced);
  return {};
}

Result<void> DirectoryStore::DeleteContainer(const ContainerKey& key) {
  if (auto checked = CheckNames(key); !checked) return checked;
  if (auto reaped = ReapExpired(key); !reaped) return reaped;
  const std::unique_lock lock(LockOf(key));
  if (auto exists = RequireContainer(key); !exists) return exists;
  const auto totals = index_->TotalsOf(key);
  if (totals && totals->objects > 0) {
    return Fail(ErrorCode::kConflict, "container '" + key.container + "' is not empty: it holds " +
                                          std::to_string(totals->objects) + " objects");
  }
  const std::string path = PathOf(key);
  const auto slash = path.rfind('/');
  const auto parent = OpenFolder(root_.get(), path.substr(0, slash));
  if (!parent) return Fail(parent);
  if (::unlinkat(parent->get(), path.substr(slash + 1).c_str(), AT_REMOVEDIR) != 0) {
    if (errno == ENOTEMPTY || errno == EEXIST) {
      return Fail(ErrorCode::kConflict, "container '" + key.container +
                                            "' is not empty: its folder holds files that the store "
                                            "did not make");
    }
    return FailErrno("removing the folder of container '" + key.container + "'");
  }
  PruneFolders(root_.get(), path.substr(0, slash));
  if (auto removed = RemoveTree(meta_.get(), path); !removed) return removed;
  PruneFolders(meta_.get(), path.substr(0, slash));
  return index_->Transact([&] { return index_->DeleteContainer(key); });
}

Result<std::vector<ListingEntry>> DirectoryStore::ListObjects(const ContainerKey& key,
                                                              const ListingQuery& query) {
  if (auto checked = CheckNames(key); !checked) return Fail(checked);
  if (auto exists = RequireContainer(key); !exists) return Fail(exists);
  if (auto caught_up = CatchUp(); !caught_up) return Fail(caught_up);
  auto entries = index_->ListObjects(key, query, timestamps_.Now());
  if (!entries) return entries;
  for (ListingEntry& entry : *entries) {
    if (entry.is_subdir || !entry.etag.empty()) continue;
    // A file that was dropped in: its ETag is due now. Gone meanwhile: listed once more without
    // one.
    const auto opened = OpenObject({key.account, key.container, entry.name});
    if (opened) entry.etag = opened->description.etag;
  }
  return entries;
}

// ---- objects

ObjectDescription DirectoryStore::Undescribed(const std::string& name, const struct stat& status) {
  ObjectDescription description;
  description.size = static_cast<std::uint64_t>(status.st_size);
  description.mtime_ns = MtimeOf(status);
  description.inode = status.st_ino;
  description.timestamp =
      Timestamp::FromNanoseconds(std::max<std::int64_t>(description.mtime_ns, 0));
  description.content_type = GuessContentType(name);
  return description;
}

Result<DirectoryStore::Found> DirectoryStore::Find(const ObjectPath& path) {
  const std::string file_path = PathOf(path);
  // O_NONBLOCK: a FIFO that somebody put there must not stop us.
  auto file = OpenBeneath(root_.get(), file_path, O_RDONLY | O_NONBLOCK);
  if (!file) {
    if (file.error().code != ErrorCode::kNotFound) return Fail(file);
    if (auto exists = RequireContainer(KeyOf(path)); !exists) return Fail(exists);
    return NoObject(path);
  }
  const auto status = StatOf(file->get());
  if (!status) return Fail(status);
  if (!S_ISREG(status->st_mode)) return NoObject(path);
  Found found{*std::move(file), *status, std::nullopt};
  auto descriptions = ReadSidecar(file_path);
  if (!descriptions) {
    // No sidecar, or one that is damaged: the bytes are still the object's.
    const ErrorCode code = descriptions.error().code;
    if (code == ErrorCode::kNotFound || code == ErrorCode::kInvalid) return found;
    return Fail(descriptions);
  }
  const ObjectDescription* fitting = FindDescription(
      *descriptions, static_cast<std::uint64_t>(status->st_size), MtimeOf(*status), status->st_ino);
  if (fitting != nullptr) found.description = *fitting;
  return found;
}

Result<StoredObject> DirectoryStore::OpenObject(const ObjectPath& path) {
  if (auto checked = CheckNames(path); !checked) return Fail(checked);
  auto found = Find(path);
  if (!found) return Fail(found);
  if (!found->description) {
    // Either the object was replaced between our two opens, or nobody described this file. Under
    // the object's lock nobody replaces it.
    {
      const std::scoped_lock lock(LockOf(path));
      found = Find(path);
      if (!found) return Fail(found);
    }
    if (!found->description) {
      auto adopted = Adopt(path, *found);
      if (!adopted) return Fail(adopted);
      return StoredObject{*std::move(adopted), std::move(found->file)};
    }
  }
  if (found->IsExpired(timestamps_.Now())) return NoObject(path);
  return StoredObject{std::move(found->description).value_or(ObjectDescription{}),
                      std::move(found->file)};
}

Result<ObjectDescription> DirectoryStore::Adopt(const ObjectPath& path, const Found& found) {
  ObjectDescription description = Undescribed(path.object, found.status);
  auto etag = digest::Md5OfFile(found.file.get(), description.size);
  if (!etag) return Fail(etag);
  description.etag = *std::move(etag);
  // Written down only if the file was not touched while we read it; else the next reader tries.
  const std::shared_lock container_lock(LockOf(KeyOf(path)));
  const std::scoped_lock lock(LockOf(path));
  const auto now = Find(path);
  if (now && !now->description && now->status.st_ino == found.status.st_ino &&
      now->status.st_size == found.status.st_size &&
      MtimeOf(now->status) == MtimeOf(found.status)) {
    const auto sidecar =
        ReplaceSidecar(PathOf(path), WriteSidecar({description}), timestamps_.Next());
    // A store that cannot write (a full disk) can still be read.
    if (sidecar) IndexObject(path, description, *sidecar);
  }
  return description;
}

Result<std::unique_ptr<Upload>> DirectoryStore::BeginUpload() {
  return Upload::Begin(temporary_.get(), TemporaryName(), options_.max_object_size);
}

Result<ObjectDescription> DirectoryStore::Commit(std::unique_ptr<Upload> upload,
                                                 const ObjectPath& path,
                                                 const NewDescription& chosen, bool must_be_new) {
  if (auto checked = CheckNames(path); !checked) return Fail(checked);
  ObjectDescription description;
  description.content_type = chosen.content_type;
  description.delete_at = chosen.delete_at;
  description.headers = chosen.headers;
  description.metadata = chosen.metadata;
  if (auto checked = CheckDescription(description); !checked) return Fail(checked);
  // Outside the locks: this is what takes time.
  if (options_.durability == Durability::kPower && ::fdatasync(upload->fd()) != 0) {
    return std::unexpected<Error>(WriteError("fdatasync of the object", errno));
  }
  const std::shared_lock container_lock(LockOf(KeyOf(path)));
  if (auto exists = RequireContainer(KeyOf(path)); !exists) return Fail(exists);
  const std::scoped_lock lock(LockOf(path));

  const Timestamp now = timestamps_.Next();
  std::vector<ObjectDescription> descriptions;
  auto old = Find(path);
  if (!old && old.error().code != ErrorCode::kNotFound) return Fail(old);
  if (old) {
    if (must_be_new && !old->IsExpired(now)) {
      return Fail(ErrorCode::kConflict, "the object '" + path.object + "' exists already");
    }
    if (auto& known = old->description; known) descriptions.push_back(*std::move(known));
  }

  if (auto set = SetMtime(upload->fd(), now.ToNanoseconds()); !set) return Fail(set);
  const auto status = StatOf(upload->fd());
  if (!status) return Fail(status);
  description.size = upload->size();
  description.mtime_ns = MtimeOf(*status);  // as the file system keeps it
  description.inode = status->st_ino;
  description.timestamp = now;
  description.etag = upload->Etag();
  descriptions.push_back(description);

  const std::string file_path = PathOf(path);
  const auto sidecar = ReplaceSidecar(file_path, WriteSidecar(descriptions), now);
  if (!sidecar) return Fail(sidecar);
  // The commit.
  auto renamed =
      RenameInto(temporary_.get(), upload->name(), root_.get(), file_path, options_.durability);
  if (!renamed) {
    if (!old) static_cast<void>(RemoveFile(meta_.get(), file_path, Durability::kProcess));
    return Fail(renamed);
  }
  upload->Release();
  IndexObject(path, description, *sidecar);
  return description;
}

Result<void> DirectoryStore::ChangeObject(
    const ObjectPath& path, const std::function<Result<void>(ObjectDescription&)>& change) {
  // Describes a file that was dropped in, so that there is something to change.
  if (const auto opened = OpenObject(path); !opened) return Fail(opened);
  const std::shared_lock container_lock(LockOf(KeyOf(path)));
  const std::scoped_lock lock(LockOf(path));
  auto found = Find(path);
  if (!found) return Fail(found);
  const Timestamp now = timestamps_.Next();
  std::optional<ObjectDescription>& known = found->description;
  if (!known || known->IsExpired(now)) return NoObject(path);
  ObjectDescription description = *std::move(known);
  if (auto changed = change(description); !changed) return changed;
  if (auto checked = CheckDescription(description); !checked) return checked;
  description.timestamp = now;
  const auto sidecar = ReplaceSidecar(PathOf(path), WriteSidecar({description}), now);
  if (!sidecar) return Fail(sidecar);
  IndexObject(path, description, *sidecar);
  return {};
}

Result<void> DirectoryStore::RemoveObject(const ObjectPath& path) {
  // Beneath the container's folder, so that this is not pruned when it gets empty.
  const auto container = OpenFolder(root_.get(), PathOf(KeyOf(path)));
  if (!container) return Fail(container);
  // The commit.
  auto removed = RemoveFile(container->get(), EncodeObject(path.object), options_.durability);
  if (!removed) return removed;
  // What is left of it is swept away at the next start if we do not get to it.
  static_cast<void>(RemoveFile(meta_.get(), PathOf(path), Durability::kProcess));
  UnindexObject(path);
  return {};
}

Result<void> DirectoryStore::DeleteObject(const ObjectPath& path) {
  if (auto checked = CheckNames(path); !checked) return checked;
  const std::shared_lock container_lock(LockOf(KeyOf(path)));
  const std::scoped_lock lock(LockOf(path));
  const auto found = Find(path);
  if (!found) {
    // The file may have been removed by hand; then its row must go.
    if (found.error().code == ErrorCode::kNotFound) UnindexObject(path);
    return Fail(found);
  }
  const bool is_expired = found->IsExpired(timestamps_.Now());
  if (auto removed = RemoveObject(path); !removed) return removed;
  if (is_expired) return NoObject(path);
  return {};
}

}  // namespace zerocloud::store
