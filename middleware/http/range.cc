#include "middleware/http/range.h"

#include <algorithm>
#include <optional>

#include "middleware/http/text.h"

namespace zerocloud::http {
namespace {

// One range as it was written: "first-last", "first-" (last is the greatest number), or "-length".
struct Spec {
  bool is_suffix = false;
  std::uint64_t first = 0;
  std::uint64_t last = UINT64_MAX;
  std::uint64_t length = 0;  // of a suffix
};

std::optional<Spec> ParseSpec(std::string_view text) {
  const auto dash = text.find('-');
  if (dash == std::string_view::npos) return std::nullopt;
  const std::string_view first_text = Trim(text.substr(0, dash));
  const std::string_view last_text = Trim(text.substr(dash + 1));
  const auto first = ParseNumber(first_text);
  const auto last = ParseNumber(last_text);
  Spec spec;
  if (first_text.empty()) {
    if (!last) return std::nullopt;
    spec.is_suffix = true;
    spec.length = *last;
    return spec;
  }
  if (!first) return std::nullopt;
  spec.first = *first;
  if (last_text.empty()) return spec;
  if (!last || *last < *first) return std::nullopt;
  spec.last = *last;
  return spec;
}

std::optional<ByteRange> Resolve(const Spec& spec, std::uint64_t size) {
  if (spec.is_suffix) {
    const std::uint64_t length = std::min(spec.length, size);
    if (length == 0) return std::nullopt;
    return ByteRange{size - length, length};
  }
  if (spec.first >= size) return std::nullopt;
  return ByteRange{spec.first, std::min(spec.last, size - 1) - spec.first + 1};
}

bool OverlapsTooMuch(std::vector<ByteRange> ranges) {
  std::ranges::sort(ranges, {}, &ByteRange::offset);
  std::size_t overlaps = 0;
  std::uint64_t end = 0;
  for (const ByteRange& range : ranges) {
    if (range.offset < end) ++overlaps;
    end = std::max(end, range.offset + range.length);
  }
  return overlaps > kMaxOverlaps;
}

}  // namespace

RangeRequest ParseRange(std::string_view field, std::uint64_t size) {
  constexpr std::string_view kUnit = "bytes=";
  if (!StartsWithIgnoringCase(field, kUnit)) return {};
  field.remove_prefix(kUnit.size());
  RangeRequest request;
  std::size_t count = 0;
  bool suffix_of_nothing = false;
  while (true) {
    const auto comma = field.find(',');
    const auto spec = ParseSpec(Trim(field.substr(0, comma)));
    if (!spec) return {};
    if (++count > kMaxRanges) return {RangeRequest::Kind::kUnsatisfiable, {}};
    if (const auto range = Resolve(*spec, size)) request.ranges.push_back(*range);
    // The last N bytes of an empty representation are the whole of it.
    if (spec->is_suffix && spec->length > 0 && size == 0) suffix_of_nothing = true;
    if (comma == std::string_view::npos) break;
    field.remove_prefix(comma + 1);
  }
  if (suffix_of_nothing) return {};
  if (request.ranges.empty() || OverlapsTooMuch(request.ranges)) {
    return {RangeRequest::Kind::kUnsatisfiable, {}};
  }
  request.kind = RangeRequest::Kind::kPartial;
  return request;
}

}  // namespace zerocloud::http
