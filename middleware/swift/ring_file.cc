#include "middleware/swift/ring_file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <utility>

#include "channels/base/unique_fd.h"

namespace zerocloud::swift {

Result<std::string> ReadWholeFile(const std::string& path, std::size_t limit) {
  const UniqueFd file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!file.is_open()) return FailErrno("cannot open " + path);
  std::string bytes;
  std::array<char, 65'536> piece;
  for (;;) {
    const ssize_t count = ::read(file.get(), piece.data(), piece.size());
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return FailErrno("cannot read " + path);
    if (count == 0) return bytes;
    if (static_cast<std::size_t>(count) > limit - bytes.size()) {
      return Fail(ErrorCode::kLimitExceeded,
                  fmt::format("{} is longer than the limit of {} bytes", path, limit));
    }
    bytes.append(piece.data(), static_cast<std::size_t>(count));
  }
}

Result<std::unique_ptr<RingFile>> RingFile::Open(std::string path, Complaint complain) {
  std::unique_ptr<RingFile> file(new RingFile(std::move(path), std::move(complain)));
  const Result<Version> version = file->Look();
  if (!version) return Fail(version);
  Result<std::shared_ptr<const Ring>> ring = file->Read();
  if (!ring) return Fail(ring);
  file->version_ = *version;
  file->ring_ = std::move(*ring);
  return file;
}

std::shared_ptr<const Ring> RingFile::Current() {
  const std::lock_guard lock(mutex_);
  const Result<Version> version = Look();
  // Between the removal of one and the coming of the next there may be none.
  if (!version || *version == version_) return ring_;
  version_ = *version;
  Result<std::shared_ptr<const Ring>> ring = Read();
  if (ring) {
    ring_ = std::move(*ring);
  } else {
    complain_(ring.error().message + "; the ring that was read before stays in use");
  }
  return ring_;
}

Result<RingFile::Version> RingFile::Look() const {
  struct stat facts{};
  if (::stat(path_.c_str(), &facts) != 0) return FailErrno("cannot read the ring " + path_);
  return Version{facts.st_ino, facts.st_size, facts.st_mtim.tv_sec, facts.st_mtim.tv_nsec};
}

Result<std::shared_ptr<const Ring>> RingFile::Read() const {
  const Result<std::string> packed = ReadWholeFile(path_, kMaxRingBytes);
  if (!packed) return Fail(packed);
  Result<std::string> unpacked = Gunzip(*packed, kMaxRingBytes);
  Result<Ring> ring = unpacked ? Ring::Parse(std::move(*unpacked)) : Result<Ring>(Fail(unpacked));
  if (!ring) return Fail(ring.error().code, fmt::format("{}: {}", path_, ring.error().message));
  return std::make_shared<const Ring>(std::move(*ring));
}

}  // namespace zerocloud::swift
