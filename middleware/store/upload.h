// An object's bytes on their way in: a temporary file on the store's disk and the MD5 of what was
// written. One thread at a time. Destroyed uncommitted, it removes its file.
#pragma once

#include <openssl/evp.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>

#include "channels/base/result.h"
#include "channels/base/unique_fd.h"

namespace zerocloud::store {

// A running MD5.
class Md5 {
 public:
  Md5();
  void Update(std::span<const std::byte> bytes);
  // 32 lower-case hex digits. Only once.
  [[nodiscard]] std::string Finish();

 private:
  struct Free {
    void operator()(EVP_MD_CTX* context) const { EVP_MD_CTX_free(context); }
  };
  std::unique_ptr<EVP_MD_CTX, Free> context_;
};

// The MD5 of the first `size` bytes of a file. kInternal if it is shorter.
Result<std::string> Md5OfFile(int fd, std::uint64_t size);

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
  Md5 md5_;
  std::string etag_;
};

}  // namespace zerocloud::store
