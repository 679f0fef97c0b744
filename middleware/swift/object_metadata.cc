#include "middleware/swift/object_metadata.h"

#include <fmt/format.h>
#include <sys/xattr.h>

#include <cerrno>

#include "middleware/digest/digest.h"
#include "middleware/http/text.h"

namespace zerocloud::swift {
namespace {

constexpr const char* kMetadataName = "user.swift.metadata";
constexpr const char* kChecksumName = "user.swift.metadata_checksum";
constexpr std::size_t kPieceBytes = 65'536;  // as Swift cuts them, and as much as Linux allows

// nullopt: there is no such attribute.
Result<std::optional<std::string>> ReadAttribute(int file, const std::string& name) {
  std::string value(1024, '\0');  // most are smaller
  for (;;) {
    const ssize_t size = ::fgetxattr(file, name.c_str(), value.data(), value.size());
    if (size >= 0) {
      value.resize(static_cast<std::size_t>(size));
      return std::optional(std::move(value));
    }
    if (errno == ENODATA) return std::optional<std::string>();
    if (errno != ERANGE || value.size() >= kPieceBytes) {
      return FailErrno("cannot read its attribute " + name);
    }
    value.resize(kPieceBytes);
  }
}

}  // namespace

Result<Metadata> ReadMetadata(int file) {
  std::string pickle;
  for (std::size_t i = 0;; ++i) {
    const std::string name = i == 0 ? kMetadataName : fmt::format("{}{}", kMetadataName, i);
    Result<std::optional<std::string>> piece = ReadAttribute(file, name);
    if (!piece) return Fail(piece);
    const std::optional<std::string>& value = *piece;
    if (!value) break;
    pickle += *value;
    if (pickle.size() > kMaxPickleBytes) break;  // which is then refused
  }
  if (pickle.empty()) {
    return Fail(ErrorCode::kInvalid, fmt::format("it has no attribute {}", kMetadataName));
  }
  const Result<std::optional<std::string>> checksum = ReadAttribute(file, kChecksumName);
  if (!checksum) return Fail(checksum);
  return CheckMetadata(pickle, *checksum);
}

Result<Metadata> CheckMetadata(const std::string& pickle,
                               const std::optional<std::string>& checksum) {
  if (checksum) {
    digest::Md5 md5;
    md5.Add(pickle);
    if (md5.Hex() != *checksum) {
      return Fail(ErrorCode::kInvalid, "its metadata is cut off or changed: the checksum differs");
    }
  }
  return ParsePickle(std::as_bytes(std::span(pickle)));
}

std::string ValueOf(const Metadata& metadata, std::string_view name) {
  for (const auto& [key, value] : metadata) {
    if (http::EqualsIgnoringCase(key, name)) return value;
  }
  return {};
}

std::string WhyNotPlain(const Metadata& metadata, store::Timestamp now) {
  std::string why;
  for (const auto& [key, value] : metadata) {
    if (http::StartsWithIgnoringCase(key, "X-Object-Sysmeta-Crypto-") ||
        http::StartsWithIgnoringCase(key, "X-Object-Transient-Sysmeta-Crypto-")) {
      return "it is encrypted";
    }
    if (http::EqualsIgnoringCase(key, "X-Static-Large-Object") ||
        http::EqualsIgnoringCase(key, "X-Object-Manifest")) {
      return "it is a large object in segments";
    }
    if (http::StartsWithIgnoringCase(key, "X-Object-Sysmeta-Symlink-")) return "it is a link";
    if (http::StartsWithIgnoringCase(key, "X-Object-Sysmeta-Versions-")) return "it is versioned";
    // Some middleware of the proxy left a note about the object, so it may change what is read.
    if (http::StartsWithIgnoringCase(key, "X-Object-Sysmeta-") ||
        http::StartsWithIgnoringCase(key, "X-Object-Transient-Sysmeta-")) {
      why = "a part of Swift's proxy handles it in a way of its own";
    }
    if (http::EqualsIgnoringCase(key, "X-Delete-At")) {
      const std::optional<std::uint64_t> at = http::ParseNumber(value);
      if (!at || static_cast<std::int64_t>(*at) <= now.FloorSeconds()) return "it has expired";
    }
  }
  return why;
}

}  // namespace zerocloud::swift
