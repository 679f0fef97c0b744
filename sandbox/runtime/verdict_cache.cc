#include "sandbox/runtime/verdict_cache.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdio>

namespace zerocloud::runtime {
namespace {

constexpr std::string_view kHeader = "zerocloud-verdict 1\n";
constexpr std::string_view kProgram = "accepted ";
constexpr std::string_view kVerifier = "verifier ";
constexpr std::size_t kDigestHexSize = 64;

bool IsDigest(std::string_view text) {
  return text.size() == kDigestHexSize && std::ranges::all_of(text, [](char c) {
           return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
         });
}

// Nobody but this user and root can have written it.
bool IsOurs(const struct stat& status) {
  constexpr mode_t kOthersMayWrite = S_IWGRP | S_IWOTH;
  return (status.st_uid == ::geteuid() || status.st_uid == 0) &&
         (status.st_mode & kOthersMayWrite) == 0;
}

bool WriteAll(int fd, std::string_view text) {
  while (!text.empty()) {
    const ssize_t put = ::write(fd, text.data(), text.size());
    if (put < 0 && errno != EINTR) return false;
    if (put > 0) text.remove_prefix(static_cast<std::size_t>(put));
  }
  return true;
}

}  // namespace

std::string_view VerifierVersion() { return ZEROCLOUD_VERIFIER_VERSION; }

std::string RenderVerdict(const StoredVerdict& verdict) {
  return fmt::format("{}{}{}\n{}{}\n", kHeader, kProgram, verdict.program, kVerifier,
                     verdict.verifier);
}

Result<StoredVerdict> ParseVerdict(std::string_view text) {
  constexpr std::size_t kSize =
      kHeader.size() + kProgram.size() + kVerifier.size() + 2 * (kDigestHexSize + 1);
  if (text.size() != kSize) return Fail(ErrorCode::kInvalid, "no verdict: its length is wrong");
  StoredVerdict verdict;
  verdict.program = text.substr(kHeader.size() + kProgram.size(), kDigestHexSize);
  verdict.verifier = text.substr(kSize - 1 - kDigestHexSize, kDigestHexSize);
  if (!IsDigest(verdict.program) || !IsDigest(verdict.verifier) || RenderVerdict(verdict) != text) {
    return Fail(ErrorCode::kInvalid, "no verdict: it is not of the form that is written");
  }
  return verdict;
}

Result<VerdictCache> VerdictCache::Open(const std::string& directory) {
  UniqueFd fd(::open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW));
  struct stat status{};
  if (!fd.is_open() || ::fstat(fd.get(), &status) != 0) {
    return FailErrno("cannot open the directory of verdicts " + directory);
  }
  if (!IsOurs(status)) {
    return Fail(
        ErrorCode::kForbidden,
        fmt::format("the directory of verdicts {} is not believed: it has owner {} and mode "
                    "{:o}; make it your own and writable by nobody else (chmod 700)",
                    directory, status.st_uid, status.st_mode & 07777U));
  }
  return VerdictCache(std::move(fd));
}

bool VerdictCache::HasAccepted(const std::string& digest) const {
  if (!IsDigest(digest)) return false;
  const UniqueFd file(::openat(directory_.get(), digest.c_str(),
                               O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY));
  struct stat status{};
  if (!file.is_open() || ::fstat(file.get(), &status) != 0 || !S_ISREG(status.st_mode) ||
      !IsOurs(status)) {
    return false;
  }
  std::array<char, kMaxVerdictSize> buffer{};
  const ssize_t size = ::read(file.get(), buffer.data(), buffer.size());
  if (size < 0) return false;
  const auto verdict =
      ParseVerdict(std::string_view(buffer.data(), static_cast<std::size_t>(size)));
  return verdict && *verdict == StoredVerdict{digest, std::string(VerifierVersion())};
}

Result<void> VerdictCache::Accept(const std::string& digest) const {
  if (!IsDigest(digest)) return Fail(ErrorCode::kInternal, "a program's digest is no SHA-256");
  const std::string name = fmt::format("{}.{}.new", digest, ::getpid());
  // One that a process with our number left behind when it was killed.
  ::unlinkat(directory_.get(), name.c_str(), 0);
  const UniqueFd file(::openat(directory_.get(), name.c_str(),
                               O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600));
  if (!file.is_open()) return FailErrno("cannot write a verdict");
  if (!WriteAll(file.get(), RenderVerdict({digest, std::string(VerifierVersion())})) ||
      ::renameat(directory_.get(), name.c_str(), directory_.get(), digest.c_str()) != 0) {
    const int host_errno = errno;
    ::unlinkat(directory_.get(), name.c_str(), 0);
    return FailErrno("cannot write a verdict", host_errno);
  }
  return {};
}

}  // namespace zerocloud::runtime
