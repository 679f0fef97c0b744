// What the rewriter must know about instructions by name: which ones no guest may use, and why;
// which ones need x86-64-v3.
#pragma once

#include <string_view>

namespace zerocloud::toolchain {

// Why a guest may not use this instruction; empty when it may, or when only the verifier knows.
std::string_view WhyForbidden(std::string_view mnemonic);

// The instruction is not in x86-64-v2.
bool NeedsLevel3(std::string_view mnemonic);

// A string instruction when it has no operands, or only its implicit ones. "movsd" and "cmpsd" with
// vector registers are others.
bool IsStringOperation(std::string_view mnemonic);

}  // namespace zerocloud::toolchain
