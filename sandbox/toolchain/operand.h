// One operand of an instruction in AT&T syntax, taken apart and put together again.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace zerocloud::toolchain {

enum class OperandKind : std::uint8_t { kRegister, kImmediate, kMemory };

// Views into the statement. A register has `reg`; memory has any of the five parts below it. A
// branch target reads as memory with a displacement only.
struct Operand {
  OperandKind kind = OperandKind::kMemory;
  bool indirect = false;     // written with a '*'
  std::string_view text;     // all of it, without the '*'
  std::string_view reg;      // "rax", without the '%'
  std::string_view segment;  // "fs"
  std::string_view displacement;
  std::string_view base;
  std::string_view index;
  std::string_view scale;
};

// At commas outside parentheses, braces and quotes.
std::vector<std::string_view> SplitOperands(std::string_view text);

// Nothing when `text` is not an operand.
std::optional<Operand> ParseOperand(std::string_view text);

// The 32-bit register that holds the low half of `reg`: "eax" of "rax", "r8d" of "r8", "eiz" of
// "riz". Empty when `reg` is not a 64- or 32-bit general register.
std::string Low32(std::string_view reg);

// The value of an expression of numbers, + - * and parentheses; nothing when it has a symbol in it.
std::optional<std::int64_t> ConstantValue(std::string_view expression);

}  // namespace zerocloud::toolchain
