// MD5, because an ETag is one. Not for anything that must be hard to forge.
#pragma once

#include <openssl/evp.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>

#include "channels/base/result.h"

namespace zerocloud::upstream {

class Md5 {
 public:
  Md5();
  void Add(std::span<const std::byte> bytes);
  // 32 lower-case hex digits; ends the computation.
  std::string Hex();

 private:
  struct Deleter {
    void operator()(EVP_MD_CTX* context) const { EVP_MD_CTX_free(context); }
  };
  std::unique_ptr<EVP_MD_CTX, Deleter> context_;
};

// Of bytes [0, size) of a file; one that is shorter is kInternal.
Result<std::string> Md5OfFile(int file, std::uint64_t size);

}  // namespace zerocloud::upstream
