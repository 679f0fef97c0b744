// Sha1: the running digest over a channel's bytes, in the order of its calls, and over guest
// memory. Wraps libmd, whose objects need nothing but memcpy (and __stack_chk_fail), so the session
// launcher uses it without a libc. SHA-1 because ZeroVM's reports carry it; it identifies, it does
// not protect.
#pragma once

#include <sha1.h>

#include <cstddef>
#include <cstdint>

namespace zerocloud::channels {

inline constexpr std::size_t kDigestSize = SHA1_DIGEST_LENGTH;
inline constexpr std::size_t kDigestHexSize = 2 * kDigestSize;

struct Sha1 {
  SHA1_CTX context;
};

inline void Sha1Init(Sha1& digest) { SHA1Init(&digest.context); }

inline void Sha1Update(Sha1& digest, const void* bytes, std::size_t size) {
  if (size == 0) return;  // libmd may not be given a null pointer
  SHA1Update(&digest.context, static_cast<const std::uint8_t*>(bytes), size);
}

// Ends the digest; it must be initialised again before it is used.
inline void Sha1Final(Sha1& digest, std::uint8_t (&out)[kDigestSize]) {
  SHA1Final(out, &digest.context);
}

// Ends the digest and writes it in lower-case hex, without a terminating NUL.
inline void Sha1FinalHex(Sha1& digest, char (&out)[kDigestHexSize]) {
  std::uint8_t raw[kDigestSize];
  Sha1Final(digest, raw);
  for (std::size_t i = 0; i < kDigestSize; ++i) {
    out[2 * i] = "0123456789abcdef"[raw[i] >> 4];
    out[2 * i + 1] = "0123456789abcdef"[raw[i] & 15];
  }
}

}  // namespace zerocloud::channels
