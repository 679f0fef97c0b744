// Wildcards of job documents: '*' is any run of bytes, also an empty one. A pattern is anchored at
// both ends.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace zerocloud::plan {

// What each star of `pattern` stands for in `name`, or nothing if it does not match. Where several
// readings are possible an earlier star takes as much as it can. Time is at most
// |pattern| * |name|, and the pattern costs no memory.
std::optional<std::vector<std::string>> MatchWildcard(std::string_view pattern,
                                                      std::string_view name);

// The part of `pattern` before its first star: what a listing is asked for.
std::string_view LiteralPrefix(std::string_view pattern);

// `pattern` with its stars replaced from left to right by what stands in `values` from `*next` on;
// advances `*next`. Nothing if there are not enough.
std::optional<std::string> FillWildcards(std::string_view pattern,
                                         const std::vector<std::string>& values, std::size_t* next);

}  // namespace zerocloud::plan
