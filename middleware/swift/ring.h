// Ring: which devices hold a partition, as Swift's ring files say. Immutable once parsed.
//
// Source of the format: Swift 2.30, swift.common.ring.RingData.serialize_v1. A gzip stream of
// "R1NG", a version (1), the length of a JSON text, that text, and for each replica a row of 16-bit
// indices into its list of devices, of which the last may be shorter. Versions 0 (a pickle) and 2
// are refused.
#pragma once

#include <bit>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "channels/base/result.h"

namespace zerocloud::swift {

inline constexpr std::size_t kMaxRingBytes = 128 << 20;  // unpacked: 2^22 partitions, 16 replicas
inline constexpr std::size_t kMaxRingJsonBytes = 16 << 20;
inline constexpr std::size_t kMaxRingReplicas = 64;
inline constexpr unsigned kMinPartShift = 8;  // 2^24 partitions

struct RingDevice {
  bool is_there = false;  // false: removed, the index is free
  std::string name;       // of its directory; one path component
  std::string address;
  std::string replication_address;
};

class Ring {
 public:
  // kInvalid says what is wrong with the file; kLimitExceeded.
  static Result<Ring> Parse(std::string unpacked);

  // How far the first 32 bits of a hash are shifted to get its partition.
  [[nodiscard]] unsigned part_shift() const { return part_shift_; }
  [[nodiscard]] const std::vector<RingDevice>& devices() const { return devices_; }
  // The devices of a partition, the first replica first. Indices that name no device are left out.
  [[nodiscard]] std::vector<const RingDevice*> DevicesOf(std::uint32_t partition) const;

 private:
  std::string bytes_;              // the rows are in it
  std::vector<std::size_t> rows_;  // their offsets
  unsigned part_shift_ = 0;
  std::endian order_ = std::endian::native;
  std::vector<RingDevice> devices_;
};

// The bytes in a gzip stream: exactly one, nothing behind it. kInvalid, kLimitExceeded.
Result<std::string> Gunzip(std::string_view packed, std::size_t limit);

}  // namespace zerocloud::swift
