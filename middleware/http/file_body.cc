#include "middleware/http/file_body.h"

#include <unistd.h>

#include <algorithm>
#include <cstring>

namespace zerocloud::http {
namespace {

// At most `size` bytes at `offset`; fewer only where the kernel gives fewer; none is an error.
Result<std::size_t> ReadAt(int fd, std::byte* buffer, std::size_t size, std::uint64_t offset) {
  while (true) {
    const ssize_t got = ::pread(fd, buffer, size, static_cast<off_t>(offset));
    if (got > 0) return static_cast<std::size_t>(got);
    if (got == 0) {
      return Fail(ErrorCode::kInternal, "the file ended at offset " + std::to_string(offset) +
                                            ", before the size it was opened with");
    }
    if (errno != EINTR) return FailErrno("reading at offset " + std::to_string(offset));
  }
}

}  // namespace

Result<std::size_t> FileBody::Read(std::span<std::byte> buffer) {
  const std::size_t wanted = std::min<std::uint64_t>(buffer.size(), left_);
  if (wanted == 0) return 0;
  const auto got = ReadAt(file_->get(), buffer.data(), wanted, offset_);
  if (!got) return got;
  offset_ += *got;
  left_ -= *got;
  return got;
}

MultipartBody::MultipartBody(std::shared_ptr<UniqueFd> file, const std::vector<ByteRange>& ranges,
                             std::uint64_t file_size, const std::string& content_type,
                             const std::string& boundary)
    : file_(std::move(file)) {
  bool is_first = true;
  for (const ByteRange& range : ranges) {
    Part part;
    part.text = is_first ? "--" : "\r\n--";
    part.text.append(boundary).append("\r\nContent-Type: ").append(content_type);
    part.text.append("\r\nContent-Range: bytes ").append(std::to_string(range.offset));
    part.text.append("-").append(std::to_string(range.offset + range.length - 1));
    part.text.append("/").append(std::to_string(file_size)).append("\r\n\r\n");
    part.offset = range.offset;
    part.length = range.length;
    parts_.push_back(std::move(part));
    is_first = false;
  }
  parts_.push_back(Part{"\r\n--" + boundary + "--\r\n", 0, 0});
  for (const Part& part : parts_) size_ += part.text.size() + part.length;
}

Result<std::size_t> MultipartBody::Read(std::span<std::byte> buffer) {
  std::size_t filled = 0;
  while (filled < buffer.size() && part_ < parts_.size()) {
    const Part& part = parts_[part_];
    if (text_sent_ < part.text.size()) {
      const std::size_t size = std::min(buffer.size() - filled, part.text.size() - text_sent_);
      std::memcpy(buffer.data() + filled, part.text.data() + text_sent_, size);
      text_sent_ += size;
      filled += size;
    } else if (bytes_sent_ < part.length) {
      const std::size_t size =
          std::min<std::uint64_t>(buffer.size() - filled, part.length - bytes_sent_);
      const auto got =
          ReadAt(file_->get(), buffer.data() + filled, size, part.offset + bytes_sent_);
      if (!got) return got;
      bytes_sent_ += *got;
      filled += *got;
    } else {
      ++part_;
      text_sent_ = 0;
      bytes_sent_ = 0;
    }
  }
  return filled;
}

}  // namespace zerocloud::http
