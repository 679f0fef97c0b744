// The Range field (RFC 9110, 14): byte ranges of a representation of known size.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

namespace zerocloud::http {

// Bytes [offset, offset + length) of the representation; length > 0.
struct ByteRange {
  std::uint64_t offset = 0;
  std::uint64_t length = 0;

  friend bool operator==(const ByteRange&, const ByteRange&) = default;
};

struct RangeRequest {
  enum class Kind {
    kWhole,          // no valid Range field, or one to be ignored: 200 with everything
    kPartial,        // 206; `ranges` in the order asked, each within the representation
    kUnsatisfiable,  // 416
  };
  Kind kind = Kind::kWhole;
  std::vector<ByteRange> ranges;
};

// More ranges than this, or more than two that overlap, are a way to make a server send an object
// many times over: such a field is unsatisfiable.
inline constexpr std::size_t kMaxRanges = 50;
inline constexpr std::size_t kMaxOverlaps = 2;

// `field` is the value of Range. A field in another unit or with a syntax error counts as absent.
[[nodiscard]] RangeRequest ParseRange(std::string_view field, std::uint64_t size);

}  // namespace zerocloud::http
