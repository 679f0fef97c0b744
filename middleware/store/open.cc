// DirectoryStore::Open(): the lock, the folders, leftovers, the index and the scan.
#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <climits>
#include <cstdlib>

#include "middleware/store/directory_store.h"
#include "middleware/store/scan.h"

namespace zerocloud::store {
namespace {

constexpr const char* kOwnFolder = ".zerocloud";

Result<UniqueFd> MakePrivateFolder(int parent, const char* name) {
  if (::mkdirat(parent, name, 0700) != 0 && errno != EEXIST) {
    return std::unexpected<Error>(WriteError("making folder " + std::string(name), errno));
  }
  const int fd = ::openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
  if (fd < 0) return FailErrno("opening folder " + std::string(name));
  return UniqueFd(fd);
}

}  // namespace

Result<std::unique_ptr<DirectoryStore>> DirectoryStore::Open(StoreOptions options) {
  std::unique_ptr<DirectoryStore> store(new DirectoryStore(std::move(options)));
  if (auto prepared = store->Prepare(); !prepared) return Fail(prepared);
  return store;
}

Result<void> DirectoryStore::TakeLock() {
  const UniqueFd own(::openat(root_.get(), kOwnFolder, O_PATH | O_DIRECTORY | O_CLOEXEC));
  lock_file_.Reset(::openat(own.get(), "lock", O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600));
  if (!lock_file_.is_open()) return FailErrno("opening the lock of " + options_.directory);
  if (::flock(lock_file_.get(), LOCK_EX | LOCK_NB) != 0) {
    if (errno != EWOULDBLOCK) return FailErrno("locking " + options_.directory);
    const auto owner = ReadWhole(lock_file_.get(), 64);
    return Fail(ErrorCode::kConflict,
                "the store " + options_.directory + " is in use by another process" +
                    (owner && !owner->empty() ? " (pid " + *owner + ")" : std::string()) +
                    "; stop that one first, or choose another directory");
  }
  const std::string pid = std::to_string(::getpid());
  if (::ftruncate(lock_file_.get(), 0) != 0) return FailErrno("writing the lock");
  return WriteAll(lock_file_.get(), pid.data(), pid.size());
}

Result<void> DirectoryStore::Prepare() {
  const std::string& directory = options_.directory;
  if (::mkdir(directory.c_str(), 0750) != 0 && errno != EEXIST) {
    return FailErrno("making the store's directory " + directory);
  }
  root_.Reset(::open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!root_.is_open()) return FailErrno("opening the store's directory " + directory);
  const auto own = MakePrivateFolder(root_.get(), kOwnFolder);
  if (!own) return Fail(own);
  if (auto locked = TakeLock(); !locked) return locked;
  auto temporary = MakePrivateFolder(own->get(), "tmp");
  if (!temporary) return Fail(temporary);
  temporary_ = *std::move(temporary);
  auto meta = MakePrivateFolder(own->get(), "meta");
  if (!meta) return Fail(meta);
  meta_ = *std::move(meta);
  if (auto cleaned = CleanTemporary(); !cleaned) return cleaned;

  const std::unique_ptr<char, void (*)(void*)> real(::realpath(directory.c_str(), nullptr),
                                                    &std::free);
  if (!real) return FailErrno("resolving " + directory);
  index_path_ = std::string(real.get()) + "/" + kOwnFolder + "/index.sqlite";
  return OpenIndex();
}

Result<void> DirectoryStore::CleanTemporary() {
  return ForEachEntry(temporary_.get(), "",
                      [&](const std::string& name, const struct stat& status) -> Result<void> {
                        const int flags = S_ISDIR(status.st_mode) ? AT_REMOVEDIR : 0;
                        if (::unlinkat(temporary_.get(), name.c_str(), flags) != 0) {
                          return FailErrno("removing the leftover tmp/" + name);
                        }
                        ++scan_report_.leftovers;
                        return {};
                      });
}

Result<void> DirectoryStore::OpenIndex() {
  const std::uint64_t leftovers = scan_report_.leftovers;
  const bool was_there = ::access(index_path_.c_str(), F_OK) == 0;
  // A damaged index shows when it is opened or when the scan reads it. It is thrown away once.
  for (const bool is_retry : {false, true}) {
    index_.reset();
    if (is_retry) {
      if (auto discarded = Index::Discard(index_path_); !discarded) return discarded;
    }
    auto opened = Index::Open(index_path_);
    Result<ScanReport> scanned = ScanReport{};
    if (opened) {
      index_ = *std::move(opened);
      scanned = Scan(*this).Run();
    } else {
      scanned = Fail(opened);
    }
    if (scanned) {
      scan_report_ = *scanned;
      scan_report_.leftovers += leftovers;
      scan_report_.index_was_rebuilt = is_retry || !was_there;
      break;
    }
    if (is_retry || scanned.error().code != ErrorCode::kInternal) return Fail(scanned);
  }
  const auto latest = index_->Latest();
  if (!latest) return Fail(latest);
  timestamps_.AdvancePast(*latest);
  return {};
}

}  // namespace zerocloud::store
