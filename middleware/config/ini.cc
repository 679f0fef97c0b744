#include "middleware/config/ini.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <utility>

namespace zerocloud::config {
namespace {

constexpr std::string_view kSpace = " \t";

std::string_view Trim(std::string_view text) {
  const std::size_t start = std::min(text.find_first_not_of(kSpace), text.size());
  return text.substr(start, text.find_last_not_of(kSpace) + 1 - start);
}

class Reader {
 public:
  Result<void> Read(std::string_view line) {
    ++line_;
    if (line.ends_with('\r')) line.remove_suffix(1);
    if (line.size() > kMaxIniLineBytes) {
      return Refuse(
          ErrorCode::kLimitExceeded,
          fmt::format("this line has {} bytes; the limit is {}.", line.size(), kMaxIniLineBytes));
    }
    const bool has_control = std::ranges::any_of(line, [](char c) {
      const auto byte = static_cast<unsigned char>(c);
      return (byte < 0x20 && c != '\t') || byte == 0x7f;
    });
    if (has_control) return Refuse(ErrorCode::kInvalid, "a control character; this is no text.");
    const std::string_view text = Trim(line);
    if (text.empty() || text.front() == '#' || text.front() == ';') return {};
    const std::size_t indent = line.find_first_not_of(kSpace);
    if (can_go_on_ && indent > indent_) return GoOn(text);
    indent_ = indent;
    return text.front() == '[' ? Section(text) : Key(text);
  }

  Ini Take() { return std::move(ini_); }

 private:
  [[nodiscard]] Result<void> Refuse(ErrorCode code, std::string_view sentence) const {
    return Fail(code, fmt::format("line {}: {}", line_, sentence));
  }

  Result<void> GoOn(std::string_view text) {
    std::string& value = ini_.entries.back().value;
    if (value.size() + text.size() > kMaxIniLineBytes) {
      return Refuse(ErrorCode::kLimitExceeded,
                    fmt::format("the value of {} has more than {} bytes, the limit.",
                                ini_.entries.back().key, kMaxIniLineBytes));
    }
    if (!value.empty()) value.push_back(' ');
    value += text;
    return {};
  }

  Result<void> Section(std::string_view text) {
    can_go_on_ = false;
    const std::string_view name = text.substr(1, text.size() - 2);
    if (!text.ends_with(']') || Trim(name).empty()) {
      return Refuse(ErrorCode::kInvalid, "a section is [name], and nothing after it.");
    }
    section_ = Trim(name);
    const auto [place, is_new] = sections_.emplace(section_, line_);
    if (!is_new) {
      return Refuse(ErrorCode::kInvalid,
                    fmt::format("section [{}] is in line {} already; put its options there.",
                                section_, place->second));
    }
    if (sections_.size() > kMaxIniEntries) return TooMany("sections");
    ini_.sections.push_back({section_, line_});
    return {};
  }

  Result<void> Key(std::string_view text) {
    const std::size_t sign = text.find_first_of("=:");
    const std::string_view key = Trim(text.substr(0, sign));
    if (sign == std::string_view::npos || key.empty()) {
      return Refuse(ErrorCode::kInvalid,
                    "this is neither [section], nor key = value, nor a # comment.");
    }
    if (sections_.empty()) {
      return Refuse(ErrorCode::kInvalid, fmt::format("{} stands before the first [section].", key));
    }
    const auto [place, is_new] = keys_.emplace(std::pair(section_, std::string(key)), line_);
    if (!is_new) {
      return Refuse(ErrorCode::kInvalid,
                    fmt::format("[{}] {} is in line {} already.", section_, key, place->second));
    }
    if (keys_.size() > kMaxIniEntries) return TooMany("options");
    ini_.entries.push_back(
        {section_, std::string(key), std::string(Trim(text.substr(sign + 1))), line_});
    can_go_on_ = true;
    return {};
  }

  [[nodiscard]] Result<void> TooMany(std::string_view what) const {
    return Refuse(ErrorCode::kLimitExceeded,
                  fmt::format("more than {} {}, the limit.", kMaxIniEntries, what));
  }

  Ini ini_;
  std::size_t line_ = 0;
  std::size_t indent_ = 0;
  bool can_go_on_ = false;  // a value may be continued
  std::string section_;
  std::map<std::string, std::size_t> sections_;
  std::map<std::pair<std::string, std::string>, std::size_t> keys_;
};

}  // namespace

Result<Ini> ParseIni(std::string_view text) {
  if (text.size() > kMaxIniBytes) {
    return Fail(ErrorCode::kLimitExceeded,
                fmt::format("the file has {} bytes; the limit is {}.", text.size(), kMaxIniBytes));
  }
  constexpr std::string_view kByteOrderMark = "\xef\xbb\xbf";
  if (text.starts_with(kByteOrderMark)) text.remove_prefix(kByteOrderMark.size());
  Reader reader;
  while (!text.empty()) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    if (const auto read = reader.Read(text.substr(0, end)); !read.has_value()) return Fail(read);
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return reader.Take();
}

}  // namespace zerocloud::config
