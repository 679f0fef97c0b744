#include "sandbox/runtime/mapped.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <string>
#include <utility>

namespace zerocloud::runtime {
namespace {

constexpr int kContentSeals = F_SEAL_WRITE | F_SEAL_SHRINK;

Result<void> Refuse(const channels::ChannelSpec& spec, std::string_view why) {
  return Fail(ErrorCode::kInvalid, fmt::format("{} cannot be mapped: {}", spec.alias, why));
}

bool IsSealed(int file) {
  const int seals = ::fcntl(file, F_GET_SEALS);
  return seals >= 0 && (seals & kContentSeals) == kContentSeals;
}

Result<UniqueFd> SealedCopy(int from, std::uint64_t size) {
  UniqueFd copy(::memfd_create("zvm-channel", MFD_CLOEXEC | MFD_ALLOW_SEALING));
  if (!copy.is_open()) return FailErrno("cannot make a memory file");
  off_t offset = 0;
  while (std::cmp_less(offset, size)) {
    const std::uint64_t left = size - static_cast<std::uint64_t>(offset);
    const ssize_t sent = ::sendfile(copy.get(), from, &offset, left);
    if (sent < 0 && errno == EINTR) continue;
    if (sent < 0) return FailErrno("cannot copy a channel that is to be mapped");
    if (sent == 0) {
      return Fail(ErrorCode::kConflict, "a channel that is to be mapped became shorter meanwhile");
    }
  }
  if (::fcntl(copy.get(), F_ADD_SEALS, kContentSeals | F_SEAL_GROW | F_SEAL_SEAL) != 0) {
    return FailErrno("cannot seal the copy of a channel");
  }
  return copy;
}

// The file is what the channel says, now.
Result<void> CheckFile(const SessionChannel& channel) {
  struct stat status{};
  if (::fstat(channel.file.get(), &status) != 0) {
    return FailErrno("cannot read " + channel.spec.alias);
  }
  if (!S_ISREG(status.st_mode)) return Refuse(channel.spec, "it is not a regular file");
  if (std::cmp_equal(status.st_size, channel.size)) return {};
  return Refuse(channel.spec,
                fmt::format("its file had {} bytes and has {} now", channel.size, status.st_size));
}

}  // namespace

Result<void> CheckMappedChannel(const channels::ChannelSpec& spec, std::uint64_t size,
                                bool is_stream) {
  if (is_stream) return Refuse(spec, "it is not a regular file");
  if (spec.sources.size() > 1) return Refuse(spec, "it has several sources");
  if (spec.is_writable()) return Refuse(spec, "it can be written");
  if (!spec.has_random_get()) return Refuse(spec, "it is read sequentially; use type 1 or 3");
  if (spec.wants_digest) {
    return Refuse(spec, "a digest is of what calls read, and nobody sees what is read of memory");
  }
  if (spec.limits.gets < 1 || std::cmp_less(spec.limits.get_size, size)) {
    return Refuse(spec, fmt::format("that is 1 get of {} bytes, and its limits are {} and {}", size,
                                    spec.limits.gets, spec.limits.get_size));
  }
  return {};
}

Result<void> PrepareMappedChannels(std::vector<SessionChannel>& channels,
                                   std::uint64_t most_copied) {
  for (SessionChannel& channel : channels) {
    if (!channel.is_mapped) continue;
    if (auto good = CheckMappedChannel(channel.spec, channel.size, channel.is_stream); !good) {
      return good;
    }
    if (auto good = CheckFile(channel); !good) return good;
    if (channel.is_immutable || channel.size == 0 || IsSealed(channel.file.get())) continue;
    if (channel.size > most_copied) {
      return Refuse(channel.spec,
                    fmt::format("its file may change, so it is copied, and its {} bytes "
                                "are more than the {} that are left of the memory size",
                                channel.size, most_copied));
    }
    auto copy = SealedCopy(channel.file.get(), channel.size);
    if (!copy) return Fail(copy);
    channel.file = std::move(*copy);
    most_copied -= channel.size;
  }
  return {};
}

void CountMapping(channels::ChannelState& state) {
  state.gets = 1;
  state.get_bytes = state.size;
}

}  // namespace zerocloud::runtime
