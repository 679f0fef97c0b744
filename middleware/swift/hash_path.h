// Where Swift keeps an object: the hash of its name, salted by the cluster's prefix and suffix,
// from which follow the partition and the directory. Pure. Source: Swift 2.30,
// swift.common.utils.hash_path and swift.common.ring.
#pragma once

#include <array>
#include <cstdint>
#include <string>

#include "middleware/store/object_store.h"

namespace zerocloud::swift {

// swift_hash_path_prefix and _suffix of swift.conf, as bytes. Secrets of a kind: they belong in no
// message.
struct HashAffixes {
  std::string prefix;
  std::string suffix;
};

using PathHash = std::array<std::uint8_t, 16>;

// MD5 of prefix "/account/container/object" suffix. kInternal: the library refuses MD5.
Result<PathHash> HashPath(const HashAffixes& affixes, const store::ObjectPath& path);

// 32 lower-case hex digits: the name of the object's directory.
std::string ToHex(const PathHash& hash);

// `part_shift` is the ring's, at most 32.
std::uint32_t PartitionOf(const PathHash& hash, unsigned part_shift);

// "objects/56/bea/<hash>", or "objects-2/..." for policy 2: below the directory of a device.
std::string HashDirectory(unsigned policy, std::uint32_t partition, const PathHash& hash);

}  // namespace zerocloud::swift
