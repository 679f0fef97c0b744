// Looking a file up in a tar archive: ustar, its older form, GNU's long names, pax paths and sizes.
// Pure over a reader of bytes, so that it can be fuzzed. Source of the format: POSIX pax, section
// ustar interchange format, and the GNU tar manual.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string_view>

#include "channels/base/result.h"

namespace zerocloud::zvsh {

// Where the bytes of a file are in an archive.
struct Member {
  std::uint64_t offset = 0;
  std::uint64_t size = 0;
};

// Fills the span with what is at the offset; fewer bytes only at the end.
using ReadAt = std::function<Result<std::size_t>(std::uint64_t offset, std::span<char> bytes)>;

inline constexpr std::size_t kMaxMembers = 1'000'000;

// The regular file `name`, compared without leading "./" and "/". Nothing: it is not in there.
// kInvalid: it is no tar archive, or a damaged one, with the offset. The last of the same name
// counts, as it would when unpacking.
Result<std::optional<Member>> FindMember(const ReadAt& read, std::string_view name);

}  // namespace zerocloud::zvsh
