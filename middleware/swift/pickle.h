// The metadata of a stored file, as Swift pickles it. Not an unpickler: it understands the opcodes
// that make one flat dictionary of strings in protocol 2, calls nothing, imports nothing, and
// refuses everything else. Pure.
//
// Source: Swift 2.30, swift.obj.diskfile.write_metadata, and what CPython writes for it. Python 3
// writes bytes as _codecs.encode(text, 'latin1'), Python 2 as its string opcodes.
#pragma once

#include <cstddef>
#include <map>
#include <span>
#include <string>

#include "channels/base/result.h"

namespace zerocloud::swift {

// Keys as Swift spells them: "X-Timestamp", "ETag", "name". Values are bytes.
using Metadata = std::map<std::string, std::string>;

// Swift bounds metadata to some 4 KiB from the user and as much of its own; this is ample.
inline constexpr std::size_t kMaxPickleBytes = 256 << 10;

// kInvalid names the offset and the opcode that has no place there; kLimitExceeded.
Result<Metadata> ParsePickle(std::span<const std::byte> pickle);

}  // namespace zerocloud::swift
