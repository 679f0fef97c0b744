// Response bodies that come from one open file: a range of it, or several ranges as
// multipart/byteranges. Reads are positioned (pread), so the file's offset does not matter.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "channels/base/unique_fd.h"
#include "middleware/http/message.h"
#include "middleware/http/range.h"

namespace zerocloud::http {

// Bytes [offset, offset + length) of a file.
class FileBody : public BodySource {
 public:
  FileBody(std::shared_ptr<UniqueFd> file, std::uint64_t offset, std::uint64_t length)
      : file_(std::move(file)), offset_(offset), left_(length) {}

  // A file that turns out shorter than promised is an error, never a short body.
  Result<std::size_t> Read(std::span<std::byte> buffer) override;

 private:
  std::shared_ptr<UniqueFd> file_;
  std::uint64_t offset_;  // of the next byte to send
  std::uint64_t left_;    // still to be sent
};

// Several ranges of one file, each with a part head, as RFC 9110, 14.6.
class MultipartBody : public BodySource {
 public:
  // `boundary` must not occur in the file; a random one of 16 bytes or more will not.
  MultipartBody(std::shared_ptr<UniqueFd> file, const std::vector<ByteRange>& ranges,
                std::uint64_t file_size, const std::string& content_type,
                const std::string& boundary);

  Result<std::size_t> Read(std::span<std::byte> buffer) override;
  [[nodiscard]] std::uint64_t size() const { return size_; }  // of the whole body

 private:
  // Text, then (if length > 0) a range of the file.
  struct Part {
    std::string text;
    std::uint64_t offset = 0;
    std::uint64_t length = 0;
  };

  std::shared_ptr<UniqueFd> file_;
  std::vector<Part> parts_;
  std::size_t part_ = 0;
  std::size_t text_sent_ = 0;
  std::uint64_t bytes_sent_ = 0;
  std::uint64_t size_ = 0;
};

}  // namespace zerocloud::http
