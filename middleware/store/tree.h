// Files and folders beneath one directory descriptor. No symbolic link is ever followed and no path
// leaves the root, whatever a stranger has put into the tree. Paths are relative, '/'-separated, as
// naming.h makes them. Free functions over descriptors; safe from several threads.
#pragma once

#include <sys/stat.h>

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "channels/base/result.h"
#include "channels/base/unique_fd.h"

namespace zerocloud::store {

// Whether what was written must outlive a power failure (fsync), or only the process.
enum class Durability : bool { kProcess, kPower };

// openat(2) beneath `root`. A path through or to a symbolic link is kForbidden (ELOOP); a missing
// one kNotFound.
Result<UniqueFd> OpenBeneath(int root, const std::string& path, int flags, mode_t mode = 0);

// The same without openat2(2), for kernels and sandboxes that lack it: one openat per component.
Result<UniqueFd> OpenBeneathByComponents(int root, std::string_view path, int flags, mode_t mode);

// As an O_PATH descriptor. With `create`, missing folders are made (mode 0750).
Result<UniqueFd> OpenFolder(int root, const std::string& path);
Result<UniqueFd> MakeFolder(int root, const std::string& path, Durability durability);

// Renames `name` in `from` to `path` beneath `root`, over whatever file is there, making folders as
// needed (another thread may be removing them as empty meanwhile). The commit point of every write.
Result<void> RenameInto(int from, const std::string& name, int root, const std::string& path,
                        Durability durability);

// Unlinks a file, then the folders above it that this leaves empty. kNotFound if there was none.
Result<void> RemoveFile(int root, const std::string& path, Durability durability);
// Removes the folders of `path` from the innermost outwards, as long as they are empty.
void PruneFolders(int root, std::string path);
// Removes a folder with all it holds. A missing one is fine.
Result<void> RemoveTree(int root, const std::string& path);

// Calls `visit` for each entry of a folder but "." and "..", with lstat(2) data. Stops at an error.
Result<void> ForEachEntry(
    int root, const std::string& path,
    const std::function<Result<void>(const std::string& name, const struct stat& status)>& visit);

// "a/b" and "c" -> "a/b/c"; an empty `folder` is the root.
[[nodiscard]] std::string JoinPath(std::string_view folder, std::string_view name);

[[nodiscard]] inline std::int64_t MtimeOf(const struct stat& status) {
  return status.st_mtim.tv_sec * 1'000'000'000 + status.st_mtim.tv_nsec;
}
Result<struct stat> StatOf(int fd);
Result<void> SetMtime(int fd, std::int64_t nanoseconds);

// A failed write. A full disk (ENOSPC, EDQUOT) is kUnavailable and IsDiskFull(); a file size limit
// of the process (EFBIG) is kLimitExceeded; the rest as ErrnoError().
[[nodiscard]] Error WriteError(std::string what, int err);
[[nodiscard]] bool IsDiskFull(const Error& error);

// The whole of a file of at most `limit` bytes; longer is kLimitExceeded.
Result<std::string> ReadWhole(int fd, std::size_t limit);
Result<void> WriteAll(int fd, const void* data, std::size_t size);

}  // namespace zerocloud::store
