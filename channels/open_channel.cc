#include "channels/open_channel.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <sys/vfs.h>

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

// A pipe that has no name. Its other end, once gone, does not come back.
bool IsAnonymousPipe(int fd) {
  constexpr decltype(statfs::f_type) kPipeFileSystem = 0x50495045;
  struct statfs status{};
  return ::fstatfs(fd, &status) == 0 && status.f_type == kPipeFileSystem;
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
HostResult<CheckedSource> CheckMissingOutput(const ChannelSpec& spec, const std::string& path,
                                             const std::string& what) {
  const std::size_t slash = path.rfind('/');
  CheckedSource checked;
  checked.label = what;
  checked.name = path.substr(slash + 1);
  checked.flags = (spec.is_readable() ? O_RDWR : O_WRONLY) | O_CREAT | O_EXCL;
  if (auto kind = CheckKind(spec, what, S_IFREG); !kind) {
    return std::unexpected(std::move(kind).error());
  }
  if (checked.name.empty() || checked.name == "." || checked.name == "..") {
    return FailOpen(HostStatus::kMissing, what, ENOENT);
  }
  checked.directory = OpenAt(AT_FDCWD, path.substr(0, slash + 1).c_str(), O_PATH | O_DIRECTORY);
  if (!checked.directory.is_open()) {
    const int host_errno = errno;
    return FailOpen(OpenStatus(true, host_errno), "cannot create " + what, host_errno);
  }
  if (::faccessat(checked.directory.get(), ".", W_OK | X_OK, AT_EACCESS) != 0) {
    const int host_errno = errno;
    return FailOpen(OpenStatus(true, host_errno), "cannot create " + what, host_errno);
  }
  return checked;
}

// A stream of the network goes one way, from its start to its end.
HostResult<CheckedSource> CheckNetworkSource(const ChannelSpec& spec, const std::string& what) {
  if ((spec.is_readable() && spec.is_writable()) || (spec.is_readable() && spec.has_random_get()) ||
      (spec.is_writable() && spec.has_random_put())) {
    return FailHost(
        HostStatus::kManifest, ErrorCode::kInvalid,
        fmt::format("type {}: {} can be read or written but not both, and only sequentially "
                    "(type 0)",
                    static_cast<int>(spec.type), what));
  }
  CheckedSource source;
  source.label = what;
  source.open.is_stream = true;
  return source;
}

HostResult<CheckedSource> CheckSource(const ChannelSpec& spec, const std::string& path) {
  const auto kind = ClassifySource(path);
  if (!kind) return std::unexpected(kind.error());
  const std::string what = fmt::format("{} ({})", spec.alias, path);
  if (*kind == SourceKind::kNetwork) return CheckNetworkSource(spec, what);

  const bool is_output = spec.is_writable();
  const UniqueFd held = OpenAt(AT_FDCWD, path.c_str(), O_PATH);
  if (!held.is_open()) {
    const int host_errno = errno;
    if (is_output && host_errno == ENOENT) return CheckMissingOutput(spec, path, what);
    return FailOpen(OpenStatus(is_output, host_errno), "source: cannot open " + what, host_errno);
  }
  struct stat status{};
  if (::fstat(held.get(), &status) != 0) return FailOpen(HostStatus::kIo, what, errno);
  if (auto checked = CheckKind(spec, what, status.st_mode); !checked) {
    return std::unexpected(std::move(checked).error());
  }

  int flags = O_RDONLY;
  if (is_output) {
    const bool needs_reader = S_ISFIFO(status.st_mode) && !IsAnonymousPipe(held.get());
    flags = spec.is_readable() || needs_reader ? O_RDWR : O_WRONLY;
  }
  CheckedSource source;
  source.label = what;
  const std::string held_path = fmt::format("/proc/self/fd/{}", held.get());
  source.open.file = OpenAt(AT_FDCWD, held_path.c_str(), flags | O_NONBLOCK);
  if (!source.open.file.is_open()) {
    const int host_errno = errno;
    return FailOpen(OpenStatus(is_output, host_errno), "source: cannot open " + what, host_errno);
  }
  // Every descriptor flag but these two belongs to the open itself, so 0 means blocking.
  if (::fcntl(source.open.file.get(), F_SETFL, 0) != 0)
    return FailOpen(HostStatus::kIo, what, errno);
  source.open.is_stream = !S_ISREG(status.st_mode);
  source.must_truncate = is_output && !spec.is_readable() && !source.open.is_stream;
  if (!source.open.is_stream && spec.is_readable()) {
    source.size = static_cast<std::uint64_t>(status.st_size);
  }
  return source;
}

// The length of a channel whose sources are all regular files: that of its one source, or one that
// two of them have. Where they are also written, all must have it.
HostResult<std::uint64_t> AgreedSize(const ChannelSpec& spec,
                                     const std::vector<CheckedSource>& sources) {
  const auto sharing = [&sources](std::uint64_t size) {
    return static_cast<std::size_t>(std::ranges::count(sources, size, &CheckedSource::size));
  };
  const std::size_t needed =
      spec.is_writable() ? sources.size() : std::min<std::size_t>(sources.size(), 2);
  for (const CheckedSource& source : sources) {
    if (sharing(source.size) >= needed) return source.size;
  }
  return FailHost(HostStatus::kIo, ErrorCode::kInvalid,
                  fmt::format("failed to read {}: {} of its {} sources have one length", spec.alias,
                              spec.is_writable() ? "not all" : "no two", sources.size()));
}

HostResult<CheckedChannel> CheckChannel(const ChannelSpec& spec) {
  CheckedChannel channel;
  for (const std::string& path : spec.sources) {
    auto source = CheckSource(spec, path);
    if (!source) return std::unexpected(std::move(source).error());
    channel.is_stream = channel.is_stream || source->open.is_stream;
    channel.sources.push_back(std::move(*source));
  }
  if (channel.sources.empty() || channel.sources.size() > kMaxSources) {
    return FailHost(HostStatus::kManifest, ErrorCode::kInvalid,
                    fmt::format("{} has {} sources; it needs one and may have {}", spec.alias,
                                channel.sources.size(), kMaxSources));
  }
  if (channel.is_stream) return channel;
  const auto size = AgreedSize(spec, channel.sources);
  if (!size) return std::unexpected(size.error());
  channel.size = *size;
  if (spec.is_writable() && channel.size == 0) channel.extended_size = spec.limits.put_size;
  return channel;
}

// Refuses one regular file behind two sources of which one is written.
HostResult<void> CheckSharedFiles(std::span<const ChannelSpec> specs,
                                  std::span<const CheckedChannel> checked) {
  struct First {
    bool is_written;
    const std::string* label;
  };
  std::map<std::pair<dev_t, ino_t>, First> seen;
  for (std::size_t i = 0; i < specs.size(); ++i) {
    for (const CheckedSource& source : checked[i].sources) {
      if (!source.open.file.is_open() || source.open.is_stream) continue;
      struct stat status{};
      if (::fstat(source.open.file.get(), &status) != 0) {
        return FailOpen(HostStatus::kIo, source.label, errno);
      }
      const auto [other, is_new] = seen.try_emplace({status.st_dev, status.st_ino},
                                                    First{specs[i].is_writable(), &source.label});
      if (is_new || (!specs[i].is_writable() && !other->second.is_written)) continue;
      return FailHost(
          HostStatus::kManifest, ErrorCode::kInvalid,
          fmt::format("{}source: {} and {} are the same file, and one of them is written: give "
                      "each its own",
                      checked[i].where, *other->second.label, source.label));
    }
  }
  return {};
}

void RemoveCreated(std::span<const CheckedChannel> channels) {
  for (const CheckedChannel& channel : channels) {
    for (const CheckedSource& source : channel.sources) {
      if (!source.directory.is_open() || !source.open.file.is_open()) continue;
      ::unlinkat(source.directory.get(), source.name.c_str(), 0);
    }
  }
}

HostResult<void> CreateOutputs(std::span<CheckedChannel> channels) {
  for (CheckedChannel& channel : channels) {
    for (CheckedSource& source : channel.sources) {
      if (!source.directory.is_open()) continue;
      // O_EXCL: a second channel with the same new file, a link to nothing, or somebody else's file
      // that has appeared since, is an error and not an overwritten file.
      source.open.file = OpenAt(source.directory.get(), source.name.c_str(), source.flags);
      if (source.open.file.is_open()) continue;
      const int host_errno = errno;
      return FailOpen(OpenStatus(true, host_errno),
                      fmt::format("{}source: cannot create {}", channel.where, source.label),
                      host_errno);
    }
  }
  return {};
}

HostResult<void> SizeOutputs(std::span<const CheckedChannel> channels, bool extends) {
  for (const CheckedChannel& channel : channels) {
    for (const CheckedSource& source : channel.sources) {
      if (source.open.is_stream) continue;
      if (source.must_truncate && ::ftruncate(source.open.file.get(), 0) != 0) {
        return FailOpen(HostStatus::kIo,
                        fmt::format("{}cannot truncate {}", channel.where, source.label), errno);
      }
      if (!extends || channel.extended_size == 0) continue;
      // A limit may be longer than any file: then there is nothing to extend to.
      if (::ftruncate(source.open.file.get(), channel.extended_size) != 0 && errno != EFBIG &&
          errno != EINVAL) {
        return FailOpen(HostStatus::kIo,
                        fmt::format("{}put_size: cannot extend {} to {} bytes", channel.where,
                                    source.label, channel.extended_size),
                        errno);
      }
    }
  }
  return {};
}

bool IsFifoToRead(const OpenedSource& source) {
  struct stat status{};
  return source.is_stream && source.file.is_open() && ::fstat(source.file.get(), &status) == 0 &&
         S_ISFIFO(status.st_mode) &&
         (::fcntl(source.file.get(), F_GETFL) & O_ACCMODE) == O_RDONLY &&
         !IsAnonymousPipe(source.file.get());
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
HostResult<void> WaitForWriter(const OpenedSource& fifo,
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
                    fifo.where + ": nobody opened this FIFO for writing before the timeout");
  }
  return {};
}

}  // namespace

HostResult<void> WaitForWriters(std::span<const OpenedChannel> opened,
                                std::chrono::steady_clock::time_point deadline) {
  for (const OpenedChannel& channel : opened) {
    for (const OpenedSource& source : channel.sources) {
      if (!IsFifoToRead(source)) continue;
      if (auto waited = WaitForWriter(source, deadline); !waited) return waited;
    }
  }
  return {};
}

HostResult<std::vector<CheckedChannel>> CheckChannels(std::span<const ChannelSpec> specs) {
  std::vector<CheckedChannel> checked;
  checked.reserve(specs.size());
  for (const ChannelSpec& spec : specs) {
    const std::string where = spec.line > 0 ? fmt::format("MANIFEST {}: Channel: ", spec.line) : "";
    auto channel = CheckChannel(spec);
    if (!channel) {
      HostError error = std::move(channel).error();
      error.error.message = where + error.error.message;
      return std::unexpected(std::move(error));
    }
    channel->where = where;
    checked.push_back(std::move(*channel));
  }
  if (auto shared = CheckSharedFiles(specs, checked); !shared) {
    return std::unexpected(std::move(shared).error());
  }
  return checked;
}

HostResult<std::vector<OpenedChannel>> OpenChannels(std::vector<CheckedChannel> checked,
                                                    bool extends) {
  HostResult<void> made = CreateOutputs(checked);
  if (made) made = SizeOutputs(checked, extends);
  if (!made) {
    RemoveCreated(checked);
    return std::unexpected(std::move(made).error());
  }
  std::vector<OpenedChannel> opened;
  opened.reserve(checked.size());
  for (CheckedChannel& channel : checked) {
    OpenedChannel& result = opened.emplace_back();
    result.size = channel.size;
    result.is_stream = channel.is_stream;
    for (CheckedSource& source : channel.sources) {
      source.open.where = fmt::format("{}source: {}", channel.where, source.label);
      result.sources.push_back(std::move(source.open));
    }
  }
  return opened;
}

}  // namespace zerocloud::channels
