// Finds the labels that control can reach through a register: functions, and labels whose address
// is taken (jump tables, computed goto). Each must start a bundle. A label that only direct
// branches name need not, so loops stay dense.
#pragma once

#include <vector>

#include "sandbox/toolchain/lexer.h"

namespace zerocloud::toolchain {

// One flag per statement of `assembly`: true for a label in executable code that must start a
// bundle.
std::vector<bool> FindBundleLabels(const Assembly& assembly);

// A direct or indirect branch or call, by its lower-case mnemonic.
bool IsBranch(std::string_view mnemonic);

}  // namespace zerocloud::toolchain
