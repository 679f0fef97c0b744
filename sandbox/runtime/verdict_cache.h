// VerdictCache: which programs this verifier has already accepted, as files of a directory, so that
// a program is verified once and run often. A verdict is named by the SHA-256 of the program's file
// and holds for one version of the verifier and loader only: any change of their source makes every
// old verdict void. Only acceptance is kept.
//
// Whoever can write a verdict can have any code run, so only what nobody else can have written is
// believed: directory and file belong to this user or to root, and neither group nor others may
// write them. Symbolic links are not followed.
#pragma once

#include <string>
#include <string_view>

#include "channels/base/result.h"
#include "channels/base/unique_fd.h"

namespace zerocloud::runtime {

inline constexpr std::size_t kMaxVerdictSize = 4096;

// The version of the verifier in this build: 64 hex digits, a digest of its source.
std::string_view VerifierVersion();

struct StoredVerdict {
  std::string program;   // SHA-256, 64 hex digits
  std::string verifier;  // as VerifierVersion()
  friend bool operator==(const StoredVerdict&, const StoredVerdict&) = default;
};
std::string RenderVerdict(const StoredVerdict& verdict);
// kInvalid for anything but one rendered verdict.
Result<StoredVerdict> ParseVerdict(std::string_view text);

class VerdictCache {
 public:
  // The directory must exist. kForbidden if others could have written in it.
  static Result<VerdictCache> Open(const std::string& directory);

  // Whether this verifier has accepted the program with this digest. A verdict that is not to be
  // believed, or not to be understood, counts as none.
  [[nodiscard]] bool HasAccepted(const std::string& digest) const;
  // Appears at once or not at all, also to others who use the directory.
  [[nodiscard]] Result<void> Accept(const std::string& digest) const;

 private:
  explicit VerdictCache(UniqueFd directory) : directory_(std::move(directory)) {}
  UniqueFd directory_;
};

}  // namespace zerocloud::runtime
