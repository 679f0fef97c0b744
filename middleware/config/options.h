// The table of options, one row each. Private to this folder.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "middleware/config/config.h"

namespace zerocloud::config {

struct TextOption {
  std::string_view pointer;
  std::function<std::string&(Config&)> in;
  std::string_view prose;  // what it is and why it is as it is
};

struct NumberOption {
  std::string pointer;
  std::string_view unit;
  std::uint64_t minimum = 0;
  std::uint64_t maximum = 0;
  std::function<std::uint64_t&(Config&)> in;
  std::string_view prose;
};

const std::vector<TextOption>& TextOptions();
const std::vector<NumberOption>& NumberOptions();

}  // namespace zerocloud::config
