// A digest of bytes that come piece by piece, computed by OpenSSL: MD5, because an ETag is one (not
// for anything that must be hard to forge), and SHA-256.
#pragma once

#include <openssl/evp.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "channels/base/result.h"

namespace zerocloud::digest {

enum class Algorithm : std::uint8_t { kMd5, kSha256 };

class Digest {
 public:
  explicit Digest(Algorithm algorithm);
  void Add(std::span<const std::byte> bytes);
  void Add(std::string_view bytes) { Add(std::as_bytes(std::span(bytes))); }
  // Of all that was added: 32 or 64 lower-case hexadecimal digits. Then it begins anew.
  [[nodiscard]] std::string Hex();
  // Forgets what was added.
  void Restart();

 private:
  struct Free {
    void operator()(EVP_MD_CTX* context) const { EVP_MD_CTX_free(context); }
  };
  const EVP_MD* kind_;
  std::unique_ptr<EVP_MD_CTX, Free> context_;
};

class Md5 : public Digest {
 public:
  Md5() : Digest(Algorithm::kMd5) {}
};
class Sha256 : public Digest {
 public:
  Sha256() : Digest(Algorithm::kSha256) {}
};

// Of bytes [0, size) of a file; one that is shorter is kInternal.
Result<std::string> Md5OfFile(int fd, std::uint64_t size);

}  // namespace zerocloud::digest
