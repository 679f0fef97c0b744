// The closed list of rules that verified code keeps, from rules.def, with their texts.
#pragma once

#include <array>
#include <string_view>

#include "sandbox/verifier/verify_core.h"

namespace zerocloud::verifier {

struct Rule {
  std::string_view id;         // "V10"
  std::string_view name;       // "memory"
  std::string_view statement;  // what code that keeps it looks like, in one sentence
};

// In the order of RuleId.
inline constexpr auto kRules = std::to_array<Rule>({
#define RULE(id, enumerator, name, statement) {#id, name, statement},
#include "sandbox/verifier/rules.def"
#undef RULE
});

constexpr const Rule& GetRule(RuleId id) { return kRules[static_cast<std::size_t>(id)]; }

}  // namespace zerocloud::verifier
