#include "middleware/digest/digest.h"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <vector>

#include "middleware/digest/hex.h"

namespace zerocloud::digest {

Digest::Digest(Algorithm algorithm)
    : kind_(algorithm == Algorithm::kMd5 ? EVP_md5() : EVP_sha256()), context_(EVP_MD_CTX_new()) {
  Restart();
}

void Digest::Restart() { EVP_DigestInit_ex(context_.get(), kind_, nullptr); }

void Digest::Add(std::span<const std::byte> bytes) {
  EVP_DigestUpdate(context_.get(), bytes.data(), bytes.size());
}

std::string Digest::Hex() {
  std::array<unsigned char, EVP_MAX_MD_SIZE> digest{};
  unsigned size = 0;
  EVP_DigestFinal_ex(context_.get(), digest.data(), &size);
  Restart();
  return ToHex(std::as_bytes(std::span(digest).first(size)));
}

Result<std::string> Md5OfFile(int fd, std::uint64_t size) {
  Digest md5(Algorithm::kMd5);
  std::vector<std::byte> piece(std::min<std::uint64_t>(size, std::uint64_t{256} * 1024));
  for (std::uint64_t at = 0; at < size;) {
    const auto wanted = static_cast<std::size_t>(std::min<std::uint64_t>(piece.size(), size - at));
    const ssize_t got = ::pread(fd, piece.data(), wanted, static_cast<off_t>(at));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return FailErrno("cannot read a file for its MD5");
    if (got == 0) return Fail(ErrorCode::kInternal, "a file is shorter than it should be");
    md5.Add(std::span(piece).first(static_cast<std::size_t>(got)));
    at += static_cast<std::uint64_t>(got);
  }
  return md5.Hex();
}

}  // namespace zerocloud::digest
