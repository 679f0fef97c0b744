#include "middleware/store/upload.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <vector>

#include "middleware/store/tree.h"

namespace zerocloud::store {

namespace {

// Gives the first `size` bytes of a file to `take`, piece by piece.
template <typename Take>
Result<void> ForEachPiece(int fd, std::uint64_t size, const Take& take) {
  std::vector<std::byte> buffer(std::min<std::uint64_t>(size, 256UL * 1024));
  for (std::uint64_t offset = 0; offset < size;) {
    const std::size_t wanted = std::min<std::uint64_t>(buffer.size(), size - offset);
    const ssize_t got = ::pread(fd, buffer.data(), wanted, static_cast<off_t>(offset));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return FailErrno("reading at offset " + std::to_string(offset));
    if (got == 0) {
      return Fail(ErrorCode::kInternal, "the file ended at offset " + std::to_string(offset) +
                                            ", before its " + std::to_string(size) + " bytes");
    }
    if (auto taken = take(std::span(buffer.data(), static_cast<std::size_t>(got))); !taken) {
      return taken;
    }
    offset += static_cast<std::uint64_t>(got);
  }
  return {};
}

}  // namespace

Result<std::unique_ptr<Upload>> Upload::Begin(int folder, std::string name, std::uint64_t limit) {
  const int fd =
      ::openat(folder, name.c_str(), O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0640);
  if (fd < 0) return std::unexpected<Error>(WriteError("making a temporary file", errno));
  return std::unique_ptr<Upload>(new Upload(folder, std::move(name), UniqueFd(fd), limit));
}

Upload::~Upload() {
  if (!name_.empty()) ::unlinkat(folder_, name_.c_str(), 0);
}

Result<void> Upload::Write(std::span<const std::byte> bytes) {
  if (bytes.size() > limit_ - size_) {
    return Fail(ErrorCode::kLimitExceeded,
                "the object is larger than max_file_size, " + std::to_string(limit_) + " bytes");
  }
  if (auto written = WriteAll(file_.get(), bytes.data(), bytes.size()); !written) return written;
  md5_.Add(bytes);
  size_ += bytes.size();
  return {};
}

Result<void> Upload::WriteFile(int fd, std::uint64_t size) {
  return ForEachPiece(fd, size, [&](std::span<const std::byte> piece) { return Write(piece); });
}

const std::string& Upload::Etag() {
  if (etag_.empty()) etag_ = md5_.Hex();
  return etag_;
}

}  // namespace zerocloud::store
