// Pattern and name from any bytes, cut at the first newline: a match, filled back into the pattern,
// gives the name again; and matching agrees with a plain reference.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>
#include <vector>

#include "middleware/plan/wildcard.h"

namespace {

// Dynamic programming over all prefixes: slow and evidently right.
bool MatchesReference(std::string_view pattern, std::string_view name) {
  std::vector<bool> row(name.size() + 1, false);
  row[0] = true;
  for (const char c : pattern) {
    std::vector<bool> next(name.size() + 1, false);
    for (std::size_t i = 0; i <= name.size(); ++i) {
      if (c == '*') {
        next[i] = row[i] || (i > 0 && next[i - 1]);
      } else {
        next[i] = i > 0 && row[i - 1] && name[i - 1] == c;
      }
    }
    row = next;
  }
  return row[name.size()];
}

}  // namespace

// The name is libFuzzer's.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const std::size_t cut = text.find('\n');
  if (cut == std::string_view::npos || size > 4096) return 0;
  const std::string_view pattern = text.substr(0, cut);
  const std::string_view name = text.substr(cut + 1);
  const auto stars = zerocloud::plan::MatchWildcard(pattern, name);
  if (stars.has_value() != MatchesReference(pattern, name)) std::abort();
  if (!stars) return 0;
  std::size_t next = 0;
  const auto filled = zerocloud::plan::FillWildcards(pattern, *stars, &next);
  if (!filled || *filled != name || next != stars->size()) std::abort();
  return 0;
}
