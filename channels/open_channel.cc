#include "channels/open_channel.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <climits>
#include <map>
#include <string_view>
#include <system_error>
#include <thread>
#include <utility>

#include "channels/base/result.h"
#include "channels/channel_parse.h"

namespace zerocloud::channels {
namespace {

constexpr mode_t kNewFileMode = 0600;

auto FailOpen(HostStatus status, const std::string& what, int host_errno) {
  return std::unexpected(HostError{status, ErrnoError(what, host_errno)});
}

// ZeroVM's classes: an input that cannot be opened is a wrong manifest; an output keeps its errno.
HostStatus OpenStatus(bool is_output, int host_errno) {
  if (host_errno == EMFILE || host_errno == ENFILE || host_errno == ENOMEM) {
    return HostStatus::kUnavailable;
  }
  if (!is_output) return HostStatus::kManifest;
  switch (host_errno) {
    case ENOENT:
    case ENOTDIR:
      return HostStatus::kMissing;
    case EACCES:
    case EPERM:
    case EROFS:
      return HostStatus::kDenied;
    default:
      return HostStatus::kIo;
  }
}

// Opens with O_CLOEXEC | O_NOCTTY; retried when a signal interrupts it.
UniqueFd OpenAt(int directory, const char* path, int flags) {
  int fd = -1;
  do {
    fd = ::openat(directory, path, flags | O_CLOEXEC | O_NOCTTY, kNewFileMode);
  } while (fd < 0 && errno == EINTR);
  return UniqueFd(fd);
}

std::string_view KindName(mode_t mode) {
  switch (mode & S_IFMT) {
    case S_IFDIR:
      return "a directory";
    case S_IFBLK:
      return "a block device";
    case S_IFSOCK:
      return "a socket";
    default:
      return "no file";
  }
}

HostResult<void> CheckKind(const ChannelSpec& spec, const std::string& what, mode_t mode) {
  const bool is_stream = S_ISFIFO(mode) || S_ISCHR(mode);
  if (!is_stream && !S_ISREG(mode)) {
    return FailHost(HostStatus::kUnsupported, ErrorCode::kInvalid,
                    fmt::format("{} is {}; a channel needs a regular file, a character device or a "
                                "FIFO",
                                what, KindName(mode)));
  }
  if (!spec.is_readable() || !spec.is_writable()) return {};
  if (is_stream) {
    return FailHost(HostStatus::kUsage, ErrorCode::kInvalid,
                    fmt::format("{} is a {}, which a channel can read or write but not both", what,
                                S_ISFIFO(mode) ? "FIFO" : "character device"));
  }
  if (!spec.has_random_get()) {
    return FailHost(
        HostStatus::kManifest, ErrorCode::kInvalid,
        fmt::format("{} can be read and written only with type 1 (append) or 3 (random), "
                    "not {}",
                    what, static_cast<int>(spec.type)));
  }
  return {};
}

// The output does not exist: holds the directory that it will be made in.
HostResult<CheckedChannel> CheckMissingOutput(const ChannelSpec& spec, const std::string& what) {
  const std::string& path = spec.sources.front();
  const std::size_t slash = path.rfind('/');
  CheckedChannel checked;
  checked.label = what;
  checked.name = path.substr(slash + 1);
  checked.flags = (spec.is_readable() ? O_RDWR : O_WRONLY) | O_CREAT | O_EXCL;
  if (checked.name.empty() || checked.name == "." || checked.name == "..") {
    return FailOpen(HostStatus::kMissing, what, ENOENT);
  }
  checked.directory = OpenAt(AT_FDCWD, path.substr(0, slash + 1).c_str(), O_PATH | O_DIRECTORY);
  if (!checked.directory.is_open()) {
    const int host_errno = errno;
    return FailOpen(OpenStatus(true, host_errno), what, host_errno);
  }
  if (::faccessat(checked.directory.get(), ".", W_OK | X_OK, AT_EACCESS) != 0) {
    const int host_errno = errno;
    return FailOpen(OpenStatus(true, host_errno), "cannot create " + what, host_errno);
  }
  return checked;
}

HostResult<CheckedChannel> CheckChannel(const ChannelSpec& spec) {
  if (spec.sources.size() != 1) {
    return FailHost(
        HostStatus::kUnsupported, ErrorCode::kInvalid,
        fmt::format("{} has {} sources; several sources for one channel are not supported "
                    "yet: name one",
                    spec.alias, spec.sources.size()));
  }
  const std::string& path = spec.sources.front();
  const auto kind = ClassifySource(path);
  if (!kind) return std::unexpected(kind.error());
  if (*kind == SourceKind::kNetwork) {
    return FailHost(
        HostStatus::kUnsupported, ErrorCode::kInvalid,
        fmt::format("{}: network sources ('{}') are not supported yet: use a file or FIFO",
                    spec.alias, path));
  }

  const bool is_output = spec.is_writable();
  const std::string what = fmt::format("{} ({})", spec.alias, path);
  const UniqueFd held = OpenAt(AT_FDCWD, path.c_str(), O_PATH);
  if (!held.is_open()) {
    const int host_errno = errno;
    if (is_output && host_errno == ENOENT) return CheckMissingOutput(spec, what);
    return FailOpen(OpenStatus(is_output, host_errno), "cannot open " + what, host_errno);
  }
  struct stat status{};
  if (::fstat(held.get(), &status) != 0) return FailOpen(HostStatus::kIo, what, errno);
  if (auto checked = CheckKind(spec, what, status.st_mode); !checked) {
    return std::unexpected(std::move(checked).error());
  }

  int flags = O_RDONLY;
  if (is_output) flags = spec.is_readable() || S_ISFIFO(status.st_mode) ? O_RDWR : O_WRONLY;
  CheckedChannel result;
  result.label = what;
  const std::string held_path = fmt::format("/proc/self/fd/{}", held.get());
  result.open.file = OpenAt(AT_FDCWD, held_path.c_str(), flags | O_NONBLOCK);
  if (!result.open.file.is_open()) {
    const int host_errno = errno;
    return FailOpen(OpenStatus(is_output, host_errno), "cannot open " + what, host_errno);
  }
  // Every descriptor flag but these two belongs to the open itself, so 0 means blocking.
  if (::fcntl(result.open.file.get(), F_SETFL, 0) != 0)
    return FailOpen(HostStatus::kIo, what, errno);
  result.open.is_stream = !S_ISREG(status.st_mode);
  result.must_truncate = is_output && !spec.is_readable() && !result.open.is_stream;
  if (!result.open.is_stream && spec.is_readable()) {
    result.open.size = static_cast<std::uint64_t>(status.st_size);
  }
  return result;
}

// Refuses one regular file behind two channels of which one writes.
HostResult<void> CheckSharedFiles(std::span<const ChannelSpec> specs,
                                  std::span<const CheckedChannel> checked) {
  std::map<std::pair<dev_t, ino_t>, std::size_t> seen;  // file -> index of its first channel
  for (std::size_t i = 0; i < specs.size(); ++i) {
    if (!checked[i].open.file.is_open() || checked[i].open.is_stream) continue;
    struct stat status{};
    if (::fstat(checked[i].open.file.get(), &status) != 0) {
      return FailOpen(HostStatus::kIo, checked[i].label, errno);
    }
    const auto [other, is_new] = seen.try_emplace({status.st_dev, status.st_ino}, i);
    if (is_new) continue;
    if (specs[i].is_writable() || specs[other->second].is_writable()) {
      return FailHost(
          HostStatus::kManifest, ErrorCode::kInvalid,
          fmt::format("{} and {} are the same file, and one of them is written: give each "
                      "its own",
                      checked[other->second].label, checked[i].label));
    }
  }
  return {};
}

void RemoveCreated(std::span<const CheckedChannel> created) {
  for (const CheckedChannel& channel : created) {
    if (channel.directory.is_open()) ::unlinkat(channel.directory.get(), channel.name.c_str(), 0);
  }
}

bool IsFifoToRead(const OpenedChannel& channel) {
  struct stat status{};
  return channel.is_stream && ::fstat(channel.file.get(), &status) == 0 &&
         S_ISFIFO(status.st_mode) && (::fcntl(channel.file.get(), F_GETFL) & O_ACCMODE) == O_RDONLY;
}

// Until one of `fds` is ready. false: the deadline passed.
bool PollUntil(std::span<pollfd> fds, std::chrono::steady_clock::time_point deadline) {
  while (true) {
    const auto left =
        std::chrono::ceil<std::chrono::milliseconds>(deadline - std::chrono::steady_clock::now());
    const auto bounded = std::clamp<std::int64_t>(left.count(), 0, INT_MAX);
    const int ready = ::poll(fds.data(), fds.size(), static_cast<int>(bounded));
    if (ready > 0) return true;
    if (ready == 0 && left.count() <= 0) return false;
  }
}

// poll() tells of data and of a writer that has gone, but not of one that is there and has not
// written yet: only a blocking open() waits for that. It stands in a thread, and is released by a
// writer of our own when there is no more need to wait.
HostResult<void> WaitForWriter(const OpenedChannel& fifo,
                               std::chrono::steady_clock::time_point deadline) {
  const std::string path = fmt::format("/proc/self/fd/{}", fifo.file.get());
  const UniqueFd opened(::eventfd(0, EFD_CLOEXEC));
  if (!opened.is_open()) return FailOpen(HostStatus::kUnavailable, "cannot wait for a FIFO", errno);
  std::jthread waiting;
  try {
    waiting = std::jthread([&path, &opened] {
      const UniqueFd second = OpenAt(AT_FDCWD, path.c_str(), O_RDONLY);
      ::eventfd_write(opened.get(), 1);
    });
  } catch (const std::system_error& error) {
    return FailOpen(HostStatus::kUnavailable, "cannot start a thread", error.code().value());
  }
  pollfd fds[] = {{.fd = fifo.file.get(), .events = POLLIN, .revents = 0},
                  {.fd = opened.get(), .events = POLLIN, .revents = 0}};
  const bool has_writer = PollUntil(fds, deadline);
  // Once is not enough: the thread may not have reached its open() yet.
  while (fds[1].revents == 0) {
    const UniqueFd writer = OpenAt(AT_FDCWD, path.c_str(), O_WRONLY | O_NONBLOCK);
    PollUntil(std::span(fds).last(1),
              std::chrono::steady_clock::now() + std::chrono::milliseconds(1));
  }
  if (!has_writer) {
    return FailHost(HostStatus::kInterrupted, ErrorCode::kTimeout,
                    "nobody opened a FIFO for writing before the timeout");
  }
  return {};
}

}  // namespace

HostResult<void> WaitForWriters(std::span<const OpenedChannel> opened,
                                std::chrono::steady_clock::time_point deadline) {
  for (const OpenedChannel& channel : opened) {
    if (!IsFifoToRead(channel)) continue;
    if (auto waited = WaitForWriter(channel, deadline); !waited) return waited;
  }
  return {};
}

HostResult<std::vector<CheckedChannel>> CheckChannels(std::span<const ChannelSpec> specs) {
  std::vector<CheckedChannel> checked;
  checked.reserve(specs.size());
  for (const ChannelSpec& spec : specs) {
    auto channel = CheckChannel(spec);
    if (!channel) return std::unexpected(std::move(channel).error());
    checked.push_back(std::move(*channel));
  }
  if (auto shared = CheckSharedFiles(specs, checked); !shared) {
    return std::unexpected(std::move(shared).error());
  }
  return checked;
}

HostResult<std::vector<OpenedChannel>> OpenChannels(std::vector<CheckedChannel> checked) {
  for (std::size_t i = 0; i < checked.size(); ++i) {
    CheckedChannel& channel = checked[i];
    if (!channel.directory.is_open()) continue;
    // O_EXCL: a second channel with the same new file, a link to nothing, or somebody else's file
    // that has appeared since, is an error and not an overwritten file.
    channel.open.file = OpenAt(channel.directory.get(), channel.name.c_str(), channel.flags);
    if (!channel.open.file.is_open()) {
      const int host_errno = errno;
      RemoveCreated(std::span(checked).first(i));
      return FailOpen(OpenStatus(true, host_errno), "cannot create " + channel.label, host_errno);
    }
  }
  for (const CheckedChannel& channel : checked) {
    if (!channel.must_truncate) continue;
    if (::ftruncate(channel.open.file.get(), 0) != 0) {
      const int host_errno = errno;
      RemoveCreated(checked);
      return FailOpen(HostStatus::kIo, "cannot truncate " + channel.label, host_errno);
    }
  }
  std::vector<OpenedChannel> opened;
  opened.reserve(checked.size());
  for (CheckedChannel& channel : checked) opened.push_back(std::move(channel.open));
  return opened;
}

}  // namespace zerocloud::channels
