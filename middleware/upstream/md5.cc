#include "middleware/upstream/md5.h"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <vector>

namespace zerocloud::upstream {

Md5::Md5() : context_(EVP_MD_CTX_new()) { EVP_DigestInit_ex(context_.get(), EVP_md5(), nullptr); }

void Md5::Add(std::span<const std::byte> bytes) {
  EVP_DigestUpdate(context_.get(), bytes.data(), bytes.size());
}

std::string Md5::Hex() {
  std::array<unsigned char, 16> digest{};
  EVP_DigestFinal_ex(context_.get(), digest.data(), nullptr);
  constexpr std::string_view kDigits = "0123456789abcdef";
  std::string hex;
  for (const unsigned char byte : digest) {
    hex.push_back(kDigits[byte >> 4U]);
    hex.push_back(kDigits[byte & 15U]);
  }
  return hex;
}

Result<std::string> Md5OfFile(int file, std::uint64_t size) {
  Md5 md5;
  std::vector<std::byte> piece(std::size_t{256} * 1024);
  for (std::uint64_t at = 0; at < size;) {
    const auto wanted = static_cast<std::size_t>(std::min<std::uint64_t>(piece.size(), size - at));
    const ssize_t got = ::pread(file, piece.data(), wanted, static_cast<off_t>(at));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return FailErrno("cannot read an output");
    if (got == 0) return Fail(ErrorCode::kInternal, "an output is shorter than it should be");
    md5.Add(std::span(piece).first(static_cast<std::size_t>(got)));
    at += static_cast<std::uint64_t>(got);
  }
  return md5.Hex();
}

}  // namespace zerocloud::upstream
