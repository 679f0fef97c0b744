// From names to files and back. An object's name becomes a relative path that a person can read:
//
//   logs/2024/x.txt   logs%/2024%/x.txt   a folder stands for "up to this slash" and ends in "%",
//   logs              logs                so an object and a folder of one name live side by side
//   a/                a%/%-               "%-" is the empty last part
//   50% off           50%25 off           "%XX" for '%', control bytes, and names "." and ".."
//   <300 letters>     <240>%+/<60>        a part too long for the file system goes on in a folder
//   a/b/.../y/z       a%/b%/.../y%2Fz     below 32 folders a slash is escaped too
//
// (The last rule bounds what one hostile name costs.) '%' is always escaped, so "%" at the end,
// "%-" and "%+" cannot be part of a name, and the mapping is one to one: decoding accepts exactly
// what encoding makes. Pure.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

#include "channels/base/result.h"

namespace zerocloud::store {

// Most folders that stand for slashes in one object's path.
inline constexpr std::size_t kMaxFolders = 32;

// In bytes of UTF-8.
inline constexpr std::size_t kMaxAccountName = 256;
inline constexpr std::size_t kMaxContainerName = 256;
inline constexpr std::size_t kMaxObjectName = 1024;

// Longest escaped piece of a name in one file name; with a suffix it stays below NAME_MAX (255).
inline constexpr std::size_t kMaxPiece = 240;

// kInvalid with the limit named, if no such account, container or object can exist.
[[nodiscard]] Result<void> CheckAccountName(std::string_view name);
[[nodiscard]] Result<void> CheckContainerName(std::string_view name);
[[nodiscard]] Result<void> CheckObjectName(std::string_view name);

// REQUIRES of both: the name passed its check. Accounts and containers are folders; a leading '.'
// of theirs is escaped, so none of them is hidden or is the store's own ".zerocloud".
[[nodiscard]] std::string EncodeFolder(std::string_view name);
[[nodiscard]] std::string EncodeObject(std::string_view name);

// nullopt: not a path that encoding makes.
[[nodiscard]] std::optional<std::string> DecodeFolder(std::string_view path);
[[nodiscard]] std::optional<std::string> DecodeObject(std::string_view path);

// Kinds of folders, by their file name: one that holds the rest of a long name, and one that stands
// for a slash in an object's name.
[[nodiscard]] inline bool IsContinuation(std::string_view file_name) {
  return file_name.ends_with("%+");
}
[[nodiscard]] inline bool IsSlashFolder(std::string_view file_name) {
  return file_name.ends_with('%');
}

}  // namespace zerocloud::store
