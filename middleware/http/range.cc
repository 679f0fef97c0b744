#include "middleware/http/range.h"

#include <algorithm>
#include <optional>

#include "middleware/http/text.h"

namespace zerocloud::http {
namespace {

// One range as it was written: "first-", "first-last" or "-suffix".
struct Spec {
  std::optional<std::uint64_t> first;
  std::optional<std::uint64_t> last;
};

std::optional<Spec> ParseSpec(std::string_view text) {
  const auto dash = text.find('-');
  if (dash == std::string_view::npos) return std::nullopt;
  const std::string_view first = Trim(text.substr(0, dash));
  const std::string_view last = Trim(text.substr(dash + 1));
  Spec spec;
  if (!first.empty()) {
    spec.first = ParseNumber(first);
    if (!spec.first) return std::nullopt;
  }
  if (!last.empty()) {
    spec.last = ParseNumber(last);
    if (!spec.last) return std::nullopt;
  }
  if (!spec.first && !spec.last) return std::nullopt;
  if (spec.first && spec.last && *spec.last < *spec.first) return std::nullopt;
  return spec;
}

std::optional<ByteRange> Resolve(const Spec& spec, std::uint64_t size) {
  if (!spec.first) {
    const std::uint64_t length = std::min(*spec.last, size);
    if (length == 0) return std::nullopt;
    return ByteRange{size - length, length};
  }
  if (*spec.first >= size) return std::nullopt;
  const std::uint64_t last = std::min(spec.last.value_or(size - 1), size - 1);
  return ByteRange{*spec.first, last - *spec.first + 1};
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
    if (!spec->first && *spec->last > 0 && size == 0) suffix_of_nothing = true;
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
