// The table of options, one row each. Private to this folder.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "middleware/config/config.h"

namespace zerocloud::config {

struct NumberKind {
  std::string_view unit;
  std::uint64_t minimum = 0;
  std::uint64_t maximum = 0;
  std::function<std::uint64_t&(Config&)> in;
};

// "true", "yes", "on", "1", "t", "y" and their opposites, as Swift reads them.
struct FlagKind {
  std::function<bool&(Config&)> in;
};

// `choices`: what it may be; empty: anything.
struct TextKind {
  std::function<std::string&(Config&)> in;
  std::vector<std::string_view> choices = {};
};

struct Option {
  std::string section;
  std::string key;
  std::variant<NumberKind, FlagKind, TextKind> kind;
  std::string_view prose;  // what it is and why it is as it is

  [[nodiscard]] std::string name() const { return section + "." + key; }
};

struct SectionDescription {
  std::string_view name;
  std::string_view prose;
};

// In the order in which they are printed; every option is in one of them. [users] has no rows.
std::span<const SectionDescription> Sections();
const std::vector<Option>& Options();
const Option* FindOption(std::string_view section, std::string_view key);  // null: there is none

// The value as a file has it, and its bounds in words.
std::string ValueIn(const Config& config, const Option& option);
std::string BoundsOf(const Option& option);

// Sets it from text. kInvalid: a sentence with the bounds, without the option's name.
Result<void> SetValue(Config& config, const Option& option, std::string_view text);

}  // namespace zerocloud::config
