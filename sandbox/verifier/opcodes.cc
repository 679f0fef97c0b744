#include "sandbox/verifier/opcodes.h"

#include <array>
#include <cstddef>

namespace zerocloud::verifier {
namespace {

struct Space {
  Encoding encoding;
  Map map;
};
constexpr Space kSpaceOne{Encoding::kLegacy, Map::kOneByte};
constexpr Space kSpace0F{Encoding::kLegacy, Map::k0F};
constexpr Space kSpace0F38{Encoding::kLegacy, Map::k0F38};
constexpr Space kSpace0F3A{Encoding::kLegacy, Map::k0F3A};
constexpr Space kSpaceV0F{Encoding::kVex, Map::k0F};
constexpr Space kSpaceV0F38{Encoding::kVex, Map::k0F38};
constexpr Space kSpaceV0F3A{Encoding::kVex, Map::k0F3A};

constexpr Form kFormNoModrm{Form::kNone};
constexpr Form kFormAny{Form::kAny};
constexpr Form kFormMem{Form::kMemory};
constexpr Form kFormReg{Form::kRegister};
constexpr Form kFormAnyD(std::uint8_t d) { return {Form::kAny, d, d}; }
constexpr Form kFormMemD(std::uint8_t d) { return {Form::kMemory, d, d}; }
constexpr Form kFormRegD(std::uint8_t d) { return {Form::kRegister, d, d}; }
constexpr Form kFormAnyR(std::uint8_t low, std::uint8_t high) { return {Form::kAny, low, high}; }
constexpr Form kFormMemR(std::uint8_t low, std::uint8_t high) { return {Form::kMemory, low, high}; }
constexpr Form kFormBytes(std::uint8_t low, std::uint8_t high) { return {Form::kBytes, low, high}; }

constexpr auto kRows = std::to_array<OpcodeRow>({
#define ROW(space, mandatory, w, l, first, last, form, reg, rm, vvvv, opcode_register, immediate, \
            level, action)                                                                        \
  {kSpace##space.encoding,                                                                        \
   kSpace##space.map,                                                                             \
   Mandatory::k##mandatory,                                                                       \
   WidthBit::k##w,                                                                                \
   VexLength::k##l,                                                                               \
   first,                                                                                         \
   last,                                                                                          \
   kForm##form,                                                                                   \
   Role::k##reg,                                                                                  \
   Role::k##rm,                                                                                   \
   Role::k##vvvv,                                                                                 \
   Role::k##opcode_register,                                                                      \
   Immediate::k##immediate,                                                                       \
   level,                                                                                         \
   Action::k##action},
#include "sandbox/verifier/opcodes.def"
#undef ROW
});

constexpr std::size_t kOpcodes = 256;
constexpr std::size_t kSlots = 7 * kOpcodes;

constexpr std::size_t Slot(Encoding encoding, Map map, std::uint8_t opcode) {
  const std::size_t space = static_cast<std::size_t>(map) +
                            (encoding == Encoding::kVex ? std::size_t{3} : std::size_t{0});
  return space * kOpcodes + opcode;
}

constexpr std::size_t CountEntries() {
  std::size_t count = 0;
  for (const OpcodeRow& row : kRows) count += std::size_t{row.last} - row.first + 1;
  return count;
}

// For each encoding, map and opcode the rows that it may be of: rows[begin[slot]..begin[slot + 1]).
struct Index {
  std::array<std::uint16_t, kSlots + 1> begin{};
  std::array<std::uint16_t, CountEntries()> rows{};
};

constexpr Index MakeIndex() {
  Index index;
  for (const OpcodeRow& row : kRows) {
    for (std::size_t opcode = row.first; opcode <= row.last; ++opcode) {
      ++index.begin[Slot(row.encoding, row.map, static_cast<std::uint8_t>(opcode)) + 1];
    }
  }
  for (std::size_t slot = 0; slot < kSlots; ++slot) {
    index.begin[slot + 1] = static_cast<std::uint16_t>(index.begin[slot + 1] + index.begin[slot]);
  }
  std::array<std::uint16_t, kSlots> used{};
  for (std::size_t k = 0; k < kRows.size(); ++k) {
    const OpcodeRow& row = kRows[k];
    for (std::size_t opcode = row.first; opcode <= row.last; ++opcode) {
      const std::size_t slot = Slot(row.encoding, row.map, static_cast<std::uint8_t>(opcode));
      index.rows[index.begin[slot] + used[slot]++] = static_cast<std::uint16_t>(k);
    }
  }
  return index;
}

constexpr Index kIndex = MakeIndex();

bool MatchesMandatory(Mandatory mandatory, const Instruction& i) {
  switch (mandatory) {
    case Mandatory::kNp:
      return !i.has_operand_size && !i.has_rep && !i.has_repne;
    case Mandatory::kP66:
      return i.has_operand_size && !i.has_rep && !i.has_repne;
    case Mandatory::kPF3:
      return !i.has_operand_size && i.has_rep && !i.has_repne;
    case Mandatory::kPF2:
      return !i.has_operand_size && !i.has_rep && i.has_repne;
    case Mandatory::kOp:
      return !i.has_rep && !i.has_repne;
    case Mandatory::kF3Op:
      return i.has_rep && !i.has_repne;
    case Mandatory::kF2Op:
      return !i.has_rep && i.has_repne;
  }
  return false;
}

bool MatchesForm(const Form& form, const Instruction& i) {
  if (form.kind == Form::kNone) return !i.has_modrm;
  if (!i.has_modrm) return false;
  if (form.kind == Form::kBytes) return form.low <= i.modrm && i.modrm <= form.high;
  if (i.reg < form.low || form.high < i.reg) return false;
  return form.kind == Form::kAny || (form.kind == Form::kMemory) == i.has_memory();
}

bool Matches(const OpcodeRow& row, const Instruction& i) {
  if (row.w != WidthBit::kWx && i.w != (row.w == WidthBit::kW1)) return false;
  if (row.l != VexLength::kLx && i.vex_l != (row.l == VexLength::kL1)) return false;
  if (row.vvvv == Role::kNo && i.vex_vvvv != 0) return false;
  return MatchesMandatory(row.mandatory, i) && MatchesForm(row.form, i);
}

}  // namespace

std::span<const OpcodeRow> OpcodeRows() { return kRows; }

const OpcodeRow* FindOpcode(const Instruction& instruction) {
  if (instruction.encoding == Encoding::kOther) return nullptr;
  const std::size_t slot = Slot(instruction.encoding, instruction.map, instruction.opcode);
  for (std::size_t k = kIndex.begin[slot]; k < kIndex.begin[slot + 1]; ++k) {
    const OpcodeRow& row = kRows[kIndex.rows[k]];
    if (Matches(row, instruction)) return &row;
  }
  return nullptr;
}

std::size_t ImmediateSize(const OpcodeRow& row, const Instruction& instruction) {
  const bool is_16_bit = HasOperandSize(row) && instruction.has_operand_size;
  switch (row.immediate) {
    case Immediate::kI0:
      return 0;
    case Immediate::kI8:
      return 1;
    case Immediate::kI16Or32:
      return is_16_bit ? 2 : 4;
    case Immediate::kI16Or32Or64:
      return instruction.w ? 8 : is_16_bit ? 2 : 4;
  }
  return 0;
}

}  // namespace zerocloud::verifier
