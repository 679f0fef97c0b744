#include "middleware/store/tree.h"

#include <dirent.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>
#include <memory>

namespace zerocloud::store {
namespace {

constexpr mode_t kFolderMode = 0750;
constexpr std::string_view kDiskFull = "the store's disk is full";

// Splits the last component off: {"a/b", "c"}.
std::pair<std::string, std::string> SplitLeaf(const std::string& path) {
  const auto slash = path.rfind('/');
  if (slash == std::string::npos) return {std::string(), path};
  return {path.substr(0, slash), path.substr(slash + 1)};
}

std::string Quoted(std::string_view path) { return "'" + std::string(path) + "'"; }

Result<void> SyncFolder(int folder) {
  // O_PATH descriptors cannot be synced.
  const UniqueFd readable(::openat(folder, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!readable.is_open() || ::fsync(readable.get()) != 0) return FailErrno("fsync of a folder");
  return {};
}

}  // namespace

Error WriteError(std::string what, int err) {
  if (err == ENOSPC || err == EDQUOT) {
    return {ErrorCode::kUnavailable,
            std::string(kDiskFull) + " (" + std::move(what) + "); free some space and try again"};
  }
  if (err == EFBIG) {
    return {ErrorCode::kLimitExceeded,
            std::move(what) + ": the file size limit of the server's process was hit"};
  }
  return ErrnoError(std::move(what), err);
}

bool IsDiskFull(const Error& error) {
  return error.code == ErrorCode::kUnavailable && error.message.starts_with(kDiskFull);
}

std::string JoinPath(std::string_view folder, std::string_view name) {
  std::string path(folder);
  if (!path.empty()) path.push_back('/');
  path.append(name);
  return path;
}

Result<UniqueFd> OpenBeneathByComponents(int root, std::string_view path, int flags, mode_t mode) {
  UniqueFd folder;
  const std::string_view whole = path;
  while (true) {
    const int at = folder.is_open() ? folder.get() : root;
    const auto slash = path.find('/');
    const std::string component(path.substr(0, slash));
    const bool is_last = slash == std::string_view::npos;
    if (component.empty() || component == "..") {
      return Fail(ErrorCode::kInvalid, "opening " + Quoted(whole) + ": not a plain relative path");
    }
    const int fd =
        is_last ? ::openat(at, component.c_str(), flags | O_NOFOLLOW | O_CLOEXEC, mode)
                : ::openat(at, component.c_str(), O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0) return FailErrno("opening " + Quoted(whole));
    if (is_last) return UniqueFd(fd);
    folder.Reset(fd);
    path.remove_prefix(slash + 1);
  }
}

Result<UniqueFd> OpenBeneath(int root, const std::string& path, int flags, mode_t mode) {
  static std::atomic<bool> has_openat2 = true;
  if (has_openat2.load(std::memory_order_relaxed)) {
    struct open_how how = {};
    how.flags = static_cast<std::uint64_t>(flags | O_CLOEXEC | O_NOFOLLOW);
    how.mode = mode;
    how.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS;
    while (true) {
      const long fd = ::syscall(SYS_openat2, root, path.c_str(), &how, sizeof how);
      if (fd >= 0) return UniqueFd(static_cast<int>(fd));
      if (errno == EAGAIN || errno == EINTR) continue;  // a rename raced with the lookup
      // Some container runtimes answer EPERM for calls that they do not know.
      if (errno != ENOSYS && errno != EPERM) {
        if (errno == ELOOP || errno == EXDEV) {
          return Fail(ErrorCode::kForbidden,
                      "opening " + Quoted(path) + ": a symbolic link is in the way");
        }
        return FailErrno("opening " + Quoted(path));
      }
      has_openat2.store(errno != ENOSYS, std::memory_order_relaxed);
      break;
    }
  }
  return OpenBeneathByComponents(root, path, flags, mode);
}

Result<UniqueFd> OpenFolder(int root, const std::string& path) {
  return OpenBeneath(root, path.empty() ? "." : path, O_PATH | O_DIRECTORY);
}

Result<UniqueFd> MakeFolder(int root, const std::string& path, Durability durability) {
  if (auto folder = OpenFolder(root, path); folder || folder.error().code != ErrorCode::kNotFound) {
    return folder;
  }
  UniqueFd folder(::openat(root, ".", O_PATH | O_DIRECTORY | O_CLOEXEC));
  if (!folder.is_open()) return FailErrno("opening the store's folder");
  std::string_view rest = path;
  while (!rest.empty()) {
    const auto slash = rest.find('/');
    const std::string component(rest.substr(0, slash));
    if (::mkdirat(folder.get(), component.c_str(), kFolderMode) == 0) {
      if (durability == Durability::kPower) {
        if (const auto synced = SyncFolder(folder.get()); !synced) return Fail(synced);
      }
    } else if (errno != EEXIST) {
      return std::unexpected<Error>(WriteError("making folder " + Quoted(path), errno));
    }
    const int next =
        ::openat(folder.get(), component.c_str(), O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (next < 0) return FailErrno("opening folder " + Quoted(path));
    folder.Reset(next);
    rest = slash == std::string_view::npos ? std::string_view() : rest.substr(slash + 1);
  }
  return folder;
}

Result<void> RenameInto(int from, const std::string& name, int root, const std::string& path,
                        Durability durability) {
  const auto [folder_path, leaf] = SplitLeaf(path);
  // Each round that fails means that another thread pruned a folder that we had just made; it can
  // do so only when it removed the last file in it, so the rounds are few.
  constexpr int kMaxRounds = 1000;
  for (int round = 0;; ++round) {
    const auto folder = MakeFolder(root, folder_path, durability);
    if (folder) {
      if (::renameat(from, name.c_str(), folder->get(), leaf.c_str()) == 0) {
        if (durability == Durability::kPower) return SyncFolder(folder->get());
        return {};
      }
      if (errno == EISDIR || errno == ENOTEMPTY || errno == EEXIST) {
        return Fail(ErrorCode::kConflict,
                    "a folder that the store did not make stands at " + Quoted(path));
      }
      if (errno != ENOENT || round == kMaxRounds) {
        return std::unexpected<Error>(WriteError("renaming to " + Quoted(path), errno));
      }
    } else if (folder.error().code != ErrorCode::kNotFound || round == kMaxRounds) {
      return Fail(folder);
    }
  }
}

void PruneFolders(int root, std::string path) {
  while (!path.empty()) {
    auto [parent_path, leaf] = SplitLeaf(path);
    const auto parent = OpenFolder(root, parent_path);
    if (!parent || ::unlinkat(parent->get(), leaf.c_str(), AT_REMOVEDIR) != 0) return;
    path = std::move(parent_path);
  }
}

Result<void> RemoveFile(int root, const std::string& path, Durability durability) {
  auto [folder_path, leaf] = SplitLeaf(path);
  const auto folder = OpenFolder(root, folder_path);
  if (!folder) return Fail(folder);
  if (::unlinkat(folder->get(), leaf.c_str(), 0) != 0) {
    return FailErrno("removing " + Quoted(path));
  }
  if (durability == Durability::kPower) {
    if (const auto synced = SyncFolder(folder->get()); !synced) return synced;
  }
  PruneFolders(root, std::move(folder_path));
  return {};
}

Result<void> ForEachEntry(
    int root, const std::string& path,
    const std::function<Result<void>(const std::string& name, const struct stat& status)>& visit) {
  auto fd = OpenBeneath(root, path.empty() ? "." : path, O_RDONLY | O_DIRECTORY);
  if (!fd) return Fail(fd);
  const int raw = fd->Release();
  const std::unique_ptr<DIR, int (*)(DIR*)> folder(::fdopendir(raw), &::closedir);
  if (!folder) {
    const Error error = ErrnoError("reading folder " + Quoted(path), errno);
    ::close(raw);
    return std::unexpected<Error>(error);
  }
  while (true) {
    errno = 0;
    const dirent* entry = ::readdir(folder.get());
    if (entry == nullptr) break;
    const std::string name(static_cast<const char*>(entry->d_name));
    if (name == "." || name == "..") continue;
    struct stat status = {};
    if (::fstatat(raw, name.c_str(), &status, AT_SYMLINK_NOFOLLOW) != 0) {
      if (errno == ENOENT) continue;  // removed meanwhile
      return FailErrno("looking at " + Quoted(JoinPath(path, name)));
    }
    if (auto visited = visit(name, status); !visited) return visited;
  }
  if (errno != 0) return FailErrno("reading folder " + Quoted(path));
  return {};
}

Result<void> RemoveTree(int root, const std::string& path) {
  std::vector<std::string> folders = {path};
  for (std::size_t i = 0; i < folders.size(); ++i) {
    const std::string current = folders[i];
    const auto handle = OpenFolder(root, current);
    if (!handle) {
      if (handle.error().code == ErrorCode::kNotFound) continue;
      return Fail(handle);
    }
    const auto removed = ForEachEntry(
        root, current, [&](const std::string& name, const struct stat& status) -> Result<void> {
          if (S_ISDIR(status.st_mode)) {
            folders.push_back(JoinPath(current, name));
          } else if (::unlinkat(handle->get(), name.c_str(), 0) != 0 && errno != ENOENT) {
            return FailErrno("removing " + Quoted(JoinPath(current, name)));
          }
          return {};
        });
    if (!removed) return removed;
  }
  for (auto folder = folders.rbegin(); folder != folders.rend(); ++folder) {
    const auto [parent_path, leaf] = SplitLeaf(*folder);
    const auto parent = OpenFolder(root, parent_path);
    if (!parent) {
      if (parent.error().code == ErrorCode::kNotFound) continue;
      return Fail(parent);
    }
    if (::unlinkat(parent->get(), leaf.c_str(), AT_REMOVEDIR) != 0 && errno != ENOENT) {
      return FailErrno("removing folder " + Quoted(*folder));
    }
  }
  return {};
}

Result<struct stat> StatOf(int fd) {
  struct stat status = {};
  if (::fstat(fd, &status) != 0) return FailErrno("fstat");
  return status;
}

Result<void> SetMtime(int fd, std::int64_t nanoseconds) {
  struct timespec times[2] = {};  // access, modification
  times[0].tv_sec = times[1].tv_sec = nanoseconds / 1'000'000'000;
  times[0].tv_nsec = times[1].tv_nsec = nanoseconds % 1'000'000'000;
  if (::futimens(fd, static_cast<const timespec*>(times)) != 0) {
    return std::unexpected<Error>(WriteError("setting a file's time", errno));
  }
  return {};
}

Result<std::string> ReadWhole(int fd, std::size_t limit) {
  std::string text;
  constexpr std::size_t kStep = 4096;
  while (true) {
    const std::size_t have = text.size();
    text.resize(have + kStep);
    const ssize_t got = ::read(fd, text.data() + have, kStep);
    if (got < 0 && errno == EINTR) {
      text.resize(have);
      continue;
    }
    if (got < 0) return FailErrno("reading");
    text.resize(have + static_cast<std::size_t>(got));
    if (got == 0) return text;
    if (text.size() > limit) {
      return Fail(ErrorCode::kLimitExceeded,
                  "the file is longer than " + std::to_string(limit) + " bytes");
    }
  }
}

Result<void> WriteAll(int fd, const void* data, std::size_t size) {
  const char* next = static_cast<const char*>(data);
  while (size > 0) {
    const ssize_t written = ::write(fd, next, size);
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return std::unexpected<Error>(WriteError("writing", errno));
    next += written;
    size -= static_cast<std::size_t>(written);
  }
  return {};
}

}  // namespace zerocloud::store
