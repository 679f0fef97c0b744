// Digest: the running digest over a channel's bytes, in the order of its calls, and over guest
// memory. Wraps libmd, whose objects need nothing but memcpy (and __stack_chk_fail), so the session
// launcher uses it without a libc. SHA-1 is what ZeroVM's reports carry; it and MD5 identify, only
// SHA-256 protects.
#pragma once

#include <md5.h>
#include <sha1.h>
#include <sha2.h>

#include <cstddef>
#include <cstdint>

namespace zerocloud::channels {

enum class DigestKind : std::uint32_t { kSha1 = 0, kSha256 = 1, kMd5 = 2 };

inline constexpr std::size_t kMaxDigestSize = SHA256_DIGEST_LENGTH;
inline constexpr std::size_t kMaxDigestHexSize = 2 * kMaxDigestSize;

constexpr std::size_t DigestSize(DigestKind kind) {
  if (kind == DigestKind::kSha256) return SHA256_DIGEST_LENGTH;
  return kind == DigestKind::kMd5 ? std::size_t{MD5_DIGEST_LENGTH}
                                  : std::size_t{SHA1_DIGEST_LENGTH};
}

// `kind` may hold any number (it lies in memory that two processes share): what is no DigestKind is
// SHA-1.
struct Digest {
  DigestKind kind;
  union {
    SHA1_CTX sha1;
    SHA2_CTX sha256;
    MD5_CTX md5;
  };
};

inline void DigestInit(Digest& digest, DigestKind kind) {
  digest.kind = kind;
  if (kind == DigestKind::kSha256) {
    SHA256Init(&digest.sha256);
  } else if (kind == DigestKind::kMd5) {
    MD5Init(&digest.md5);
  } else {
    SHA1Init(&digest.sha1);
  }
}

inline void DigestUpdate(Digest& digest, const void* bytes, std::size_t size) {
  if (size == 0) return;  // libmd may not be given a null pointer
  const auto* const data = static_cast<const std::uint8_t*>(bytes);
  if (digest.kind == DigestKind::kSha256) {
    SHA256Update(&digest.sha256, data, size);
  } else if (digest.kind == DigestKind::kMd5) {
    MD5Update(&digest.md5, data, size);
  } else {
    SHA1Update(&digest.sha1, data, size);
  }
}

// Ends the digest and writes it in lower-case hex, without a terminating NUL; returns how many
// characters. The digest must be initialised again before it is used.
inline std::size_t DigestFinalHex(Digest& digest, char (&out)[kMaxDigestHexSize]) {
  std::uint8_t raw[kMaxDigestSize];
  if (digest.kind == DigestKind::kSha256) {
    SHA256Final(raw, &digest.sha256);
  } else if (digest.kind == DigestKind::kMd5) {
    MD5Final(raw, &digest.md5);
  } else {
    SHA1Final(raw, &digest.sha1);
  }
  const std::size_t size = DigestSize(digest.kind);
  for (std::size_t i = 0; i < size; ++i) {
    out[2 * i] = "0123456789abcdef"[raw[i] >> 4];
    out[2 * i + 1] = "0123456789abcdef"[raw[i] & 15];
  }
  return 2 * size;
}

}  // namespace zerocloud::channels
