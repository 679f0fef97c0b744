// The opcode table: every instruction form that verified code may contain, from opcodes.def. What
// is not in it is not allowed. A row says by itself what the verifier has to know of a form: which
// ModRM, vvvv or opcode field names a register that is written and how wide, whether memory is
// accessed, how long the immediate is. Freestanding: numbers only, made by the compiler.
#pragma once

#include <cstddef>
#include <cstdint>

#include "sandbox/verifier/decoder.h"

namespace zerocloud::verifier {

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

enum class Action : std::uint8_t {
  kPlain,     // computes; accesses memory if it has a memory operand
  kAddress,   // lea: has a memory operand but accesses nothing
  kBranch,    // direct branch with the immediate as distance
  kString,    // accesses memory at rsi and rdi
  kIndirect,  // call or jump through the register in rm
  kReturn,
};

// One form of the opcodes `first` to `last` of `space`.
struct OpcodeRow {
  Space space;
  std::uint8_t first, last;
  // The form has just these of the first six Flags, of those that are in the mask.
  std::uint8_t flag_mask, flags;
  bool has_operand_size;  // 66 is a 16-bit operand size for it, not a part of the opcode
  // The ModRM byte: values of its reg field with a memory and with a register operand, a bit each;
  // and the range of the whole byte. All of them if there is none.
  std::uint8_t memory_regs, register_regs;
  std::uint8_t lowest, highest;
  Role reg, rm, vvvv;  // rm: of a register operand; a memory operand has no role
  Role opcode_register;
  std::uint8_t written;  // which of these four are written, a bit each, in this order
  std::uint8_t isa_level;
  Action action;
  std::uint8_t layout;  // that the decoder must have for these opcodes; see LayoutOf

  [[nodiscard]] constexpr bool Matches(const Instruction& i) const {
    const unsigned regs = i.mod() == 3 ? register_regs : memory_regs;
    return (i.flags & flag_mask) == flags && (regs >> i.reg() & 1) != 0 && lowest <= i.modrm &&
           i.modrm <= highest;
  }
};

namespace table {

// What opcodes.def is written with.
enum class Mandatory : std::uint8_t {
  kNp,    // none of 66, F2 and F3
  kP66,   // 66, as part of the opcode
  kPF3,   // F3
  kPF2,   // F2
  kOp,    // none, or 66 for 16-bit operands
  kF3Op,  // F3, or F3 and 66 for 16-bit operands
  kF2Op,  // F2, or F2 and 66 for 16-bit operands
};
enum class WidthBit : std::uint8_t { kW0, kW1, kWx };
enum class VexLength : std::uint8_t { kL0, kL1, kLx };
enum class Immediate : std::uint8_t {
  kI0,  // none
  kI8,
  kI16Or32,      // 16 bits with 66 as operand size, else 32
  kI16Or32Or64,  // as its operand
};

struct Form {
  bool has_modrm;
  std::uint8_t memory_regs, register_regs, lowest, highest;
};
consteval std::uint8_t Regs(unsigned low, unsigned high) {
  return static_cast<std::uint8_t>((2u << high) - (1u << low));
}
inline constexpr Form kFormNoModrm{false, 0xFF, 0xFF, 0, 0xFF};
inline constexpr Form kFormAny{true, 0xFF, 0xFF, 0, 0xFF};
inline constexpr Form kFormMem{true, 0xFF, 0, 0, 0xFF};
inline constexpr Form kFormReg{true, 0, 0xFF, 0, 0xFF};
consteval Form kFormAnyR(unsigned low, unsigned high) {
  return {true, Regs(low, high), Regs(low, high), 0, 0xFF};
}
consteval Form kFormMemR(unsigned low, unsigned high) {
  return {true, Regs(low, high), 0, 0, 0xFF};
}
consteval Form kFormAnyD(unsigned d) { return kFormAnyR(d, d); }
consteval Form kFormMemD(unsigned d) { return kFormMemR(d, d); }
consteval Form kFormRegD(unsigned d) { return {true, 0, Regs(d, d), 0, 0xFF}; }
consteval Form kFormBytes(std::uint8_t low, std::uint8_t high) {
  return {true, 0xFF, 0xFF, low, high};
}

consteval OpcodeRow MakeRow(Space space, Mandatory mandatory, WidthBit w, VexLength l,
                            unsigned first, unsigned last, Form form, Role reg, Role rm, Role vvvv,
                            Role opcode_register, Immediate immediate, unsigned isa_level,
                            Action action) {
  OpcodeRow row{};
  row.space = space;
  row.first = static_cast<std::uint8_t>(first);
  row.last = static_cast<std::uint8_t>(last);
  row.has_operand_size = mandatory >= Mandatory::kOp;
  unsigned mask = kPF3 | kPF2 | (row.has_operand_size ? 0u : unsigned{kP66}), flags = 0;
  if (mandatory == Mandatory::kP66) flags |= kP66;
  if (mandatory == Mandatory::kPF3 || mandatory == Mandatory::kF3Op) flags |= kPF3;
  if (mandatory == Mandatory::kPF2 || mandatory == Mandatory::kF2Op) flags |= kPF2;
  if (w != WidthBit::kWx) mask |= kW;
  if (w == WidthBit::kW1) flags |= kW;
  if (l != VexLength::kLx) mask |= kL;
  if (l == VexLength::kL1) flags |= kL;
  if (vvvv == Role::kNo) mask |= kVvvv;
  row.flag_mask = static_cast<std::uint8_t>(mask);
  row.flags = static_cast<std::uint8_t>(flags);
  row.memory_regs = form.memory_regs;
  row.register_regs = form.register_regs;
  row.lowest = form.lowest;
  row.highest = form.highest;
  row.reg = reg;
  row.rm = rm;
  row.vvvv = vvvv;
  row.opcode_register = opcode_register;
  const auto is_written = [](Role role) {
    return role == Role::kWrite || role == Role::kWriteB || role == Role::kWriteQ;
  };
  row.written = static_cast<std::uint8_t>((is_written(reg) ? 1u : 0u) | (is_written(rm) ? 2u : 0u) |
                                          (is_written(vvvv) ? 4u : 0u) |
                                          (is_written(opcode_register) ? 8u : 0u));
  row.isa_level = static_cast<std::uint8_t>(isa_level);
  row.action = action;
  constexpr std::uint8_t kKinds[] = {kNoImmediate, kImmediate8, kImmediateZ, kImmediateV};
  const bool is_distance = action == Action::kBranch && immediate == Immediate::kI16Or32;
  const unsigned kind = is_distance ? kDistance32 : kKinds[static_cast<unsigned>(immediate)];
  row.layout = static_cast<std::uint8_t>(kind | (form.has_modrm ? kHasModrm : 0u));
  return row;
}

inline constexpr OpcodeRow kRows[] = {
#define ROW(space, mandatory, w, l, first, last, form, reg, rm, vvvv, opcode_register, immediate, \
            level, action)                                                                        \
  MakeRow(Space::k##space, Mandatory::k##mandatory, WidthBit::k##w, VexLength::k##l, first, last, \
          kForm##form, Role::k##reg, Role::k##rm, Role::k##vvvv, Role::k##opcode_register,        \
          Immediate::k##immediate, level, Action::k##action),
#include "sandbox/verifier/opcodes.def"
#undef ROW
};

// The decoder and the table must agree on how long each row's instructions are.
consteval bool AgreesWithDecoder(const OpcodeRow& row) {
  const unsigned map = static_cast<unsigned>(row.space) % 4 + (row.space > Space::k0F3A ? 1 : 0);
  for (unsigned opcode = row.first; opcode <= row.last; ++opcode) {
    const unsigned layout = kDecoder.layout[map][opcode];
    const unsigned kind = layout & ~unsigned{kHasModrm};
    if (kind != kGroup3Byte && kind != kGroup3) {
      if (layout != row.layout) return false;
      continue;
    }
    // test, /0 and /1, has an immediate; the others have none.
    const bool has_immediate = (row.memory_regs & 3) != 0;
    if (has_immediate && (row.memory_regs & ~3) != 0) return false;
    const unsigned expected = !has_immediate        ? kNoImmediate
                              : kind == kGroup3Byte ? kImmediate8
                                                    : kImmediateZ;
    if (row.layout != (expected | kHasModrm)) return false;
  }
  return true;
}
consteval bool AllAgreeWithDecoder() {
  for (const OpcodeRow& row : kRows) {
    if (!AgreesWithDecoder(row)) return false;
  }
  return true;
}
static_assert(AllAgreeWithDecoder());

// Rows are found by space, opcode, and which of 66, F3 and F2 there is.
inline constexpr std::size_t kClasses = 4;
inline constexpr std::uint8_t kClassOf[8] = {0, 1, 2, 2, 3, 3, 3, 3};  // by 66 | F3 << 1 | F2 << 2
inline constexpr std::size_t kSlots = kSpaces * 256 * kClasses;

constexpr std::size_t Slot(Space space, unsigned opcode, unsigned flags) {
  return (static_cast<std::size_t>(space) * 256 + opcode) * kClasses + kClassOf[flags & 7];
}

// True if `row` may be found in the slots of `mandatory_class`.
consteval bool IsInClass(const OpcodeRow& row, unsigned mandatory_class) {
  for (unsigned flags = 0; flags < 8; ++flags) {
    if (kClassOf[flags] == mandatory_class && (flags & row.flag_mask) == (row.flags & 7u))
      return true;
  }
  return false;
}

consteval std::size_t CountEntries() {
  std::size_t count = 0;
  for (const OpcodeRow& row : kRows) {
    for (unsigned c = 0; c < kClasses; ++c) {
      if (IsInClass(row, c)) count += std::size_t{row.last} - row.first + 1;
    }
  }
  return count;
}

// rows[begin[slot]..begin[slot + 1]) may be the instruction's.
struct Index {
  std::uint16_t begin[kSlots + 1]{};
  std::uint16_t rows[CountEntries()]{};
};

consteval Index MakeIndex() {
  Index index;
  const auto for_each = [](const auto& action) {
    for (std::size_t k = 0; k < sizeof kRows / sizeof kRows[0]; ++k) {
      const OpcodeRow& row = kRows[k];
      for (unsigned c = 0; c < kClasses; ++c) {
        if (!IsInClass(row, c)) continue;
        for (unsigned opcode = row.first; opcode <= row.last; ++opcode)
          action(Slot(row.space, opcode, 0) + c, static_cast<std::uint16_t>(k));
      }
    }
  };
  for_each([&index](std::size_t slot, std::uint16_t) { ++index.begin[slot + 1]; });
  for (std::size_t slot = 0; slot < kSlots; ++slot) {
    index.begin[slot + 1] = static_cast<std::uint16_t>(index.begin[slot + 1] + index.begin[slot]);
  }
  std::uint16_t used[kSlots]{};
  for_each([&index, &used](std::size_t slot, std::uint16_t row) {
    index.rows[index.begin[slot] + used[slot]++] = row;
  });
  return index;
}

inline constexpr Index kIndex = MakeIndex();

}  // namespace table

// The row that `i` is of, or nullptr.
inline const OpcodeRow* FindOpcode(const Instruction& i) {
  if (i.space == Space::kOther) return nullptr;
  const std::size_t slot = table::Slot(i.space, i.opcode, i.flags);
  const std::size_t end = table::kIndex.begin[slot + 1];
  for (std::size_t k = table::kIndex.begin[slot]; k < end; ++k) {
    const OpcodeRow& row = table::kRows[table::kIndex.rows[k]];
    if (row.Matches(i)) return &row;
  }
  return nullptr;
}

}  // namespace zerocloud::verifier
