// A second opinion on accepted code, for tests and fuzzers: does the full decoder's view of it (its
// operands and what they read and write, not the opcode table) keep the rules too? Written from the
// rules, not from the verifier.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

namespace zerocloud::proof {

// Empty if the region is safe, else a sentence about the first thing that is not.
std::string FindUnsafe(std::span<const std::byte> code, std::uint64_t base);

// The length of the instruction at the start of `code`; 0 if there is none.
std::size_t DecodeLength(std::span<const std::byte> code);

}  // namespace zerocloud::proof
