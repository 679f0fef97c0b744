// An object's bytes on their way in: a temporary file on the store's disk and the MD5 of what was
// written. One thread at a time. Destroyed uncommitted, it removes its file.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>

#include "channels/base/result.h"
#include "channels/base/unique_fd.h"
#include "middleware/digest/digest.h"

namespace zerocloud::store {

class Upload {
 public:
  // `folder` is the temporary folder's descriptor and outlives the upload; `name` is not used
  // there.
  static Result<std::unique_ptr<Upload>> Begin(int folder, std::string name, std::uint64_t limit);
  Upload(const Upload&) = delete;
  Upload& operator=(const Upload&) = delete;
  ~Upload();

  // kLimitExceeded beyond the limit, kUnavailable (IsDiskFull) on a full disk.
  Result<void> Write(std::span<const std::byte> bytes);
  // All of a file's first `size` bytes.
  Result<void> WriteFile(int fd, std::uint64_t size);

  [[nodiscard]] std::uint64_t size() const { return size_; }
  [[nodiscard]] int fd() const { return file_.get(); }
  [[nodiscard]] const std::string& name() const { return name_; }
  [[nodiscard]] const std::string& Etag();
  // The file is no longer here: it was renamed into place.
  void Release() { name_.clear(); }

 private:
  Upload(int folder, std::string name, UniqueFd file, std::uint64_t limit)
      : folder_(folder), name_(std::move(name)), file_(std::move(file)), limit_(limit) {}

  int folder_;
  std::string name_;
  UniqueFd file_;
  std::uint64_t limit_;
  std::uint64_t size_ = 0;
  digest::Md5 md5_;
  std::string etag_;
};

}  // namespace zerocloud::store
