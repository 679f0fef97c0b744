// Doctor: checks an installation from the place where the service will run, as the user who asks,
// and says of each part whether it is right, what is wrong and what to do. It changes nothing,
// stores nothing, and runs one session of a program that traps at once.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "middleware/config/config.h"

namespace zerocloud::doctor {

enum class State : std::uint8_t {
  kGood,
  kWarning,  // it works, but an operator should know
  kWrong,    // it does not work
  kSkipped,  // not configured
};
std::string_view ToString(State state);  // "ok", "warning", "wrong", "skipped"

struct Finding {
  std::string check;  // a name of CheckNames()
  State state = State::kGood;
  std::string found;   // one phrase: what is so
  std::string advice;  // what to do about it; empty if nothing is
};

// What is checked, in this order. Tests see to it that each can fail.
std::vector<std::string_view> CheckNames();

// All findings for a configuration; several for one check where several things are wrong.
std::vector<Finding> Examine(const config::Settings& settings);
// For a configuration that cannot be read or does not hold together.
std::vector<Finding> ConfigurationIsWrong(const std::string& message);

bool IsWell(const std::vector<Finding>& findings);  // nothing is kWrong
// A line for each, and one with the advice; or {"well": ..., "findings": [...]}.
std::string ToText(const std::vector<Finding>& findings);
std::string ToJson(const std::vector<Finding>& findings);

}  // namespace zerocloud::doctor
