#include "middleware/swift/hash_path.h"

#include <fmt/format.h>
#include <openssl/evp.h>

#include <span>

#include "middleware/digest/hex.h"

namespace zerocloud::swift {

Result<PathHash> HashPath(const HashAffixes& affixes, const store::ObjectPath& path) {
  const std::string text = affixes.prefix + path.ToString() + affixes.suffix;
  PathHash hash{};
  unsigned size = 0;
  if (EVP_Digest(text.data(), text.size(), hash.data(), &size, EVP_md5(), nullptr) != 1 ||
      size != hash.size()) {
    return Fail(ErrorCode::kInternal, "OpenSSL does not compute MD5, which Swift's paths need");
  }
  return hash;
}

std::string ToHex(const PathHash& hash) { return digest::ToHex(std::as_bytes(std::span(hash))); }

std::uint32_t PartitionOf(const PathHash& hash, unsigned part_shift) {
  std::uint64_t head = 0;
  for (std::size_t i = 0; i < 4; ++i) head = head << 8U | hash[i];
  return static_cast<std::uint32_t>(head >> part_shift);
}

std::string HashDirectory(unsigned policy, std::uint32_t partition, const PathHash& hash) {
  const std::string name = ToHex(hash);
  const std::string objects = policy == 0 ? "objects" : fmt::format("objects-{}", policy);
  return fmt::format("{}/{}/{}/{}", objects, partition, name.substr(name.size() - 3), name);
}

}  // namespace zerocloud::swift
