// The opcode table: every instruction form that verified code may contain, from opcodes.def. What
// is not in it is not allowed. A row says by itself what the verifier has to know of a form: which
// ModRM, vvvv or opcode field names a register that is written and how wide, whether memory is
// accessed, how long the immediate is.
#pragma once

#include <cstdint>
#include <span>

#include "sandbox/verifier/decoder.h"

namespace zerocloud::verifier {

// Which of 66, F2 and F3 the form has.
enum class Mandatory : std::uint8_t {
  kNp,    // none
  kP66,   // 66, as part of the opcode
  kPF3,   // F3
  kPF2,   // F2
  kOp,    // none, or 66 for 16-bit operands
  kF3Op,  // F3, or F3 and 66 for 16-bit operands
  kF2Op,  // F2, or F2 and 66 for 16-bit operands
};

enum class WidthBit : std::uint8_t { kW0, kW1, kWx };
enum class VexLength : std::uint8_t { kL0, kL1, kLx };

// What the ModRM byte may be. kNone: there is none.
struct Form {
  enum Kind : std::uint8_t { kNone, kAny, kMemory, kRegister, kBytes };
  Kind kind = kNone;
  std::uint8_t low = 0, high = 7;  // of the reg field; kBytes: of the whole byte
};

// What a register field of an instruction means.
enum class Role : std::uint8_t {
  kNo,      // names no register (an opcode extension, or unused)
  kRead,    // a general register of any width, read only
  kReadB,   // the same, 8 bits
  kWrite,   // a general register, written: 64 bits with W, 16 with 66 as operand size, else 32
  kWriteB,  // a general register, written: 8 bits
  kWriteQ,  // a general register, written: 64 bits whatever the prefixes
  kVec,     // an xmm or ymm register
};

enum class Immediate : std::uint8_t {
  kI0,  // none
  kI8,
  kI16Or32,      // 16 bits with 66 as operand size, else 32
  kI16Or32Or64,  // as its operand
};

enum class Action : std::uint8_t {
  kPlain,     // computes; accesses memory if it has a memory operand
  kAddress,   // lea: has a memory operand but accesses nothing
  kString,    // accesses memory at rsi and rdi
  kBranch,    // direct branch with the immediate as distance
  kIndirect,  // call or jump through the register in rm
  kReturn,
};

struct OpcodeRow {
  Encoding encoding;
  Map map;
  Mandatory mandatory;
  WidthBit w;
  VexLength l;
  std::uint8_t first, last;  // opcodes
  Form form;
  Role reg, rm, vvvv;  // rm: of a register operand; a memory operand has no role
  Role opcode_register;
  Immediate immediate;
  std::uint8_t isa_level;
  Action action;
};

// All rows, ordered by encoding, map and first opcode where ranges do not overlap; for tests.
std::span<const OpcodeRow> OpcodeRows();

// The row that `instruction` is of, or nullptr.
const OpcodeRow* FindOpcode(const Instruction& instruction);

// Bytes of the immediate of `instruction`, which is of `row`.
std::size_t ImmediateSize(const OpcodeRow& row, const Instruction& instruction);

// True if 66 is a 16-bit operand size for `row`, not a part of the opcode.
constexpr bool HasOperandSize(const OpcodeRow& row) {
  return row.mandatory == Mandatory::kOp || row.mandatory == Mandatory::kF3Op ||
         row.mandatory == Mandatory::kF2Op;
}

}  // namespace zerocloud::verifier
