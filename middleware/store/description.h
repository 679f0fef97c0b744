// What the store keeps about an object or a folder (account, container) beside its bytes, and the
// JSON text of it in a sidecar file. Pure; the parser takes hostile bytes.
//
// A sidecar may hold several descriptions of one object. Each names the file it belongs to by size
// and modification time, so that replacing the data file, one rename, chooses the description too.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "channels/base/result.h"
#include "middleware/store/timestamp.h"

namespace zerocloud::store {

using Fields = std::map<std::string, std::string>;

struct ObjectDescription {
  // The data file that this describes. The inode only breaks ties where a file system keeps times
  // too coarsely to tell two versions apart; it may change when a tree is copied.
  std::uint64_t size = 0;
  std::int64_t mtime_ns = 0;
  std::uint64_t inode = 0;

  Timestamp timestamp;  // of the last PUT or POST
  std::string etag;     // MD5 of the bytes, 32 lower-case hex digits
  std::string content_type;
  std::optional<std::int64_t> delete_at;  // seconds since 1970
  Fields headers;                         // Content-Encoding, Content-Disposition, ...
  Fields metadata;                        // names without X-Object-Meta-

  [[nodiscard]] bool IsExpired(Timestamp now) const {
    return delete_at && now.FloorSeconds() >= *delete_at;
  }
  friend bool operator==(const ObjectDescription&, const ObjectDescription&) = default;
};

struct FolderDescription {
  Timestamp created;
  Timestamp changed;
  Fields headers;  // X-Container-Meta-*, X-Container-Read, ... whole names

  friend bool operator==(const FolderDescription&, const FolderDescription&) = default;
};

// Longest sidecar that is read. Two descriptions with all that the HTTP side lets through fit.
inline constexpr std::size_t kMaxSidecar = 512UL * 1024;
// Most descriptions in one sidecar, and most fields in one map.
inline constexpr std::size_t kMaxDescriptions = 4;
inline constexpr std::size_t kMaxFields = 512;

// REQUIRES: all strings are UTF-8.
[[nodiscard]] std::string WriteSidecar(const std::vector<ObjectDescription>& descriptions);
[[nodiscard]] Result<std::vector<ObjectDescription>> ParseSidecar(std::string_view text);
[[nodiscard]] std::string WriteFolderSidecar(const FolderDescription& description);
[[nodiscard]] Result<FolderDescription> ParseFolderSidecar(std::string_view text);

// The description of the file of this size, time and inode, or null.
[[nodiscard]] const ObjectDescription* FindDescription(
    const std::vector<ObjectDescription>& descriptions, std::uint64_t size, std::int64_t mtime_ns,
    std::uint64_t inode);

// By the file name's ending; "application/octet-stream" where it says nothing.
[[nodiscard]] std::string GuessContentType(std::string_view object_name);

}  // namespace zerocloud::store
