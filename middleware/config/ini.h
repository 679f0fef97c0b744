// The ini files that Swift's servers are configured with, as lines of sections. Pure, bounded, and
// without an opinion on which options there are.
//
// The subset of Python's ConfigParser (as Swift's readconf uses it) that is understood:
//   [section]            to the last ']' of the line; nothing but space may follow it
//   key = value          or "key: value"; the first of the two signs counts; case matters
//   # or ; as the first character of a line that is no space: a comment. Nowhere else.
//   a line with more space before it than its key's line goes on with the value; what it adds is
//   joined by one space. Comments and empty lines in between are skipped.
// Not understood: [DEFAULT] as a source for other sections (it is a section like any other),
// %(name)s (a percent sign is a percent sign), a key without a value sign.
// As there, a section or a key given twice in one file is an error.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "channels/base/result.h"

namespace zerocloud::config {

struct IniEntry {
  std::string section;
  std::string key;
  std::string value;     // trimmed; may be empty
  std::size_t line = 0;  // of the key
};

struct IniSection {
  std::string name;
  std::size_t line = 0;
};

struct Ini {
  std::vector<IniSection> sections;
  std::vector<IniEntry> entries;
};

inline constexpr std::size_t kMaxIniBytes = 1 << 20;
inline constexpr std::size_t kMaxIniLineBytes = 8192;
inline constexpr std::size_t kMaxIniEntries = 10'000;

// kInvalid or kLimitExceeded: "line 7: what is wrong".
Result<Ini> ParseIni(std::string_view text);

}  // namespace zerocloud::config
