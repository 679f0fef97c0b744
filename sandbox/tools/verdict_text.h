// Renders a verdict for people and for programs: rule, place, disassembly. Not trusted: it explains
// what the verifier decided and decides nothing.
#pragma once

#include <string>
#include <string_view>

#include "sandbox/loader/image.h"

namespace zerocloud::tools {

// Several lines, with a final newline. `file` names the program in them.
std::string VerdictText(std::string_view file, const loader::Examination& examination);

// One JSON object, with a final newline.
std::string VerdictJson(std::string_view file, const loader::Examination& examination);

// The rules of the verifier, a line each.
std::string RulesText();

}  // namespace zerocloud::tools
