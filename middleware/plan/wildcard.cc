#include "middleware/plan/wildcard.h"

#include <algorithm>

namespace zerocloud::plan {

std::optional<std::vector<std::string>> MatchWildcard(std::string_view pattern,
                                                      std::string_view name) {
  const std::size_t first_star = pattern.find('*');
  if (first_star == std::string_view::npos) {
    if (pattern != name) return std::nullopt;
    return std::vector<std::string>{};
  }
  const std::string_view head = pattern.substr(0, first_star);
  if (!name.starts_with(head)) return std::nullopt;
  pattern.remove_prefix(first_star);
  name.remove_prefix(head.size());

  // From the right: each literal part is placed as far right as it goes, which leaves the most to
  // the stars before it.
  std::vector<std::string> stars;
  bool is_last = true;
  while (!pattern.empty()) {
    const std::size_t star = pattern.rfind('*');
    const std::string_view literal = pattern.substr(star + 1);
    std::size_t at = 0;
    if (is_last) {
      if (!name.ends_with(literal)) return std::nullopt;
      at = name.size() - literal.size();
    } else {
      at = name.rfind(literal);
      if (at == std::string_view::npos) return std::nullopt;
      stars.emplace_back(name.substr(at + literal.size()));
    }
    name = name.substr(0, at);
    pattern = pattern.substr(0, star);
    is_last = false;
  }
  stars.emplace_back(name);
  std::ranges::reverse(stars);
  return stars;
}

std::string_view LiteralPrefix(std::string_view pattern) {
  return pattern.substr(0, pattern.find('*'));
}

std::optional<std::string> FillWildcards(std::string_view pattern,
                                         const std::vector<std::string>& values,
                                         std::size_t* next) {
  std::string result;
  for (const char c : pattern) {
    if (c != '*') {
      result.push_back(c);
    } else if (*next < values.size()) {
      result += values[(*next)++];
    } else {
      return std::nullopt;
    }
  }
  return result;
}

}  // namespace zerocloud::plan
