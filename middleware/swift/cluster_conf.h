// What swift.conf says that concerns where objects lie: the hash prefix and suffix, and the storage
// policies with their names. Read as Python's ConfigParser reads it (Swift 2.30). Pure.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "channels/base/result.h"
#include "middleware/swift/hash_path.h"

namespace zerocloud::swift {

inline constexpr std::size_t kMaxConfBytes = 1 << 20;

struct StoragePolicy {
  unsigned index = 0;
  bool is_replicated = true;            // else erasure coded: no file holds a whole object
  std::vector<std::string> names = {};  // lower case: its name, then its aliases

  // "object.ring.gz", "object-2.ring.gz".
  [[nodiscard]] std::string RingName() const;
  friend bool operator==(const StoragePolicy&, const StoragePolicy&) = default;
};

struct ClusterConf {
  HashAffixes affixes;
  std::vector<StoragePolicy> policies;  // by index; at least policy 0
};

// kInvalid: "swift.conf, line N: sentence". As in Swift, prefix and suffix cannot both be empty.
Result<ClusterConf> ParseClusterConf(std::string_view text);

}  // namespace zerocloud::swift
