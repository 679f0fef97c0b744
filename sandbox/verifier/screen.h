// The quick way through the verifier: says of most instructions that real programs consist of, in a
// straight line of table look-ups, that they keep all rules that concern one instruction by itself.
// It never says so wrongly; of anything it does not know it says nothing, and the decoder and the
// rules decide. Its tables are computed from the opcode table; sandbox/proof compares it with the
// rules for every form.
#pragma once

#include <cstdint>

#include "sandbox/verifier/decoder.h"
#include "sandbox/verifier/opcodes.h"

namespace zerocloud::verifier {
namespace screen {

// An opcode's word (Summary::word) and a ModRM byte's word (Addressing::word) are made of these
// bits. Those of the prefixes mean "may not be there" in both, and are as in REX; of the others,
// those count that both words have.
inline constexpr std::uint32_t kB = 1, kX = 2, kR = 4, k67 = 0x10;
inline constexpr std::uint32_t kBareRex = 0x20;  // 40, which is a REX that says nothing
inline constexpr std::uint32_t kAllPrefixes = 0x3F;
// The ModRM reg field, a bit each, with a memory operand or none, and with a register operand. The
// opcode has those that are known; if none is, nothing is known of it.
inline constexpr unsigned kMemoryRegs = 8, kRegisterRegs = 16;  // where they begin
inline constexpr std::uint32_t kAnyReg = 0xFFFF00;
// The opcode writes all of what the ModRM reg field names, or the rm field; and that may be rsp.
inline constexpr std::uint32_t kWritesReg = 1u << 24, kWritesRm = 1u << 25;
inline constexpr std::uint32_t kAccess = 1u << 26;  // to memory
// Of opcodes alone: it is a direct branch.
inline constexpr std::uint32_t kBranch = 1u << 27;

// What all instructions with one opcode of the first two maps, one of no prefix, 66, F3 and F2, and
// with or without W, have in common.
struct Summary {
  std::uint32_t word;
  std::uint8_t required;          // prefix bits of the word that must be there instead
  std::uint8_t immediate;         // bytes
  std::uint16_t addressing_mask;  // of the next byte, with kNoModrm, what to look up
};

// What a ModRM byte means for any of them.
struct Addressing {
  std::uint32_t word;
  std::uint8_t length;  // of it, a SIB byte, and the displacement
  std::uint8_t by_sib;  // those of the meanings of a SIB byte that count
};
inline constexpr unsigned kNoModrm = 0x100;
// A SIB byte means: the base is none, for 4 bytes more; the base is rsp or r12, and the index none
// or r12.
inline constexpr std::uint8_t kSibNoBase = 4, kSibStack = 8;

struct Tables {
  std::uint8_t mandatory_class[256];  // 1, 2, 3 for 66, F3, F2, else 0
  std::uint8_t rex[256];              // kIsRex and prefix bits, or 0
  Summary summaries[2][table::kClasses][2][256];
  Addressing addressing[kNoModrm + 1];
  std::uint8_t sib[256];
};
inline constexpr std::uint8_t kIsRex = 0x80;

// True if all of rsp may be written where its number is in a field of `role`.
consteval bool MayWriteStackPointer(const OpcodeRow& row, Role role, unsigned flags) {
  if (role == Role::kWrite)
    return (flags & kW) != 0 || (row.has_operand_size && (flags & kP66) != 0);
  return role == Role::kWriteB || role == Role::kWriteQ;
}

// The part of `row` that the screen understands, or nothing of it.
consteval Summary Summarize(const OpcodeRow& row, unsigned opcode, unsigned flags) {
  const unsigned kind = row.layout & ~unsigned{kHasModrm};
  const bool is_known = row.isa_level == 2 && row.lowest == 0 && row.highest == 0xFF &&
                        row.action <= Action::kBranch && kind < kImmediate16;
  const bool is_wide = (flags & kW) != 0, is_16_bit = row.has_operand_size && (flags & kP66) != 0;
  if (!is_known || (is_wide && (is_16_bit || row.action == Action::kBranch))) return {};
  const bool has_modrm = (row.layout & kHasModrm) != 0;
  Summary s{};
  s.immediate = kDecoder.immediate[kind][(flags & kP66) | (is_wide ? 2 : 0)];
  s.addressing_mask = has_modrm ? 0xFF : kNoModrm;

  s.word = kBareRex;
  if (row.reg == Role::kNo) s.word |= kR;
  if (!has_modrm) s.word |= kX | k67 | (row.opcode_register == Role::kNo ? kB : 0u);
  if (row.action == Action::kBranch) s.word = kAllPrefixes | kBranch;
  // Of opcodes with a register one names rsp if there is no B, and all others name other registers.
  if (opcode % 8 == kStackRegister && MayWriteStackPointer(row, row.opcode_register, flags)) {
    s.required = kB;
    s.word |= kB;
  }
  s.word |= std::uint32_t{row.memory_regs} << kMemoryRegs;
  // A register operand that is none makes B useless.
  if (!has_modrm || row.rm != Role::kNo)
    s.word |= std::uint32_t{row.register_regs} << kRegisterRegs;
  if (MayWriteStackPointer(row, row.reg, flags)) s.word |= kWritesReg;
  if (MayWriteStackPointer(row, row.rm, flags)) s.word |= kWritesRm;
  if (row.action != Action::kAddress) s.word |= kAccess;
  return s;
}

// Of two forms with the same opcode: what holds for both. Nothing, if that is too little.
consteval Summary Merge(const Summary& a, const Summary& b) {
  constexpr std::uint32_t kSame = kAccess | kBranch;
  const bool is_alike = (a.word & kSame) == (b.word & kSame) && a.required == b.required &&
                        a.immediate == b.immediate && a.addressing_mask == b.addressing_mask;
  if (!is_alike) return {};
  Summary s = a;
  s.word |= b.word;
  return s;
}

consteval Summary SummarizeSlot(unsigned map, unsigned opcode, unsigned flags) {
  // The long NOP, which is in no table.
  if (map == 1 && opcode == 0x1F && (flags & (kPF3 | kPF2 | kW)) == 0) {
    return {kAllPrefixes | 1u << kMemoryRegs, 0, 0, 0xFF};
  }
  Summary all{};
  bool is_first = true;
  const std::size_t slot = table::Slot(static_cast<Space>(map), opcode, flags);
  for (std::size_t k = table::kIndex.begin[slot]; k < table::kIndex.begin[slot + 1]; ++k) {
    const OpcodeRow& row = table::kRows[table::kIndex.rows[k]];
    if ((flags & row.flag_mask) != row.flags) continue;
    const Summary one = Summarize(row, opcode, flags);
    if ((one.word & kAnyReg) == 0) continue;  // the others may still be known
    all = is_first ? one : Merge(all, one);
    is_first = false;
  }
  return all;
}

consteval Addressing AddressingOf(unsigned modrm) {
  const unsigned mod = modrm >> 6, reg = modrm >> 3 & 7, rm = modrm & 7;
  const bool has_memory = mod != 3, is_rip = mod == 0 && rm == 5, has_sib = has_memory && rm == 4;
  Addressing a{};
  a.length = kDecoder.addressing[modrm] & kAddressingLength;
  if (has_sib && mod == 0) a.by_sib |= kSibNoBase;
  if (has_sib && mod < 2) a.by_sib |= kSibStack;  // a displacement of at most one byte
  a.word = 1u << ((has_memory ? kMemoryRegs : kRegisterRegs) + reg);
  if (!has_sib) a.word |= kX;
  if (is_rip) a.word |= kB;
  if (!has_memory || is_rip) a.word |= k67;
  if (reg == kStackRegister) a.word |= kWritesReg;
  if (!has_memory && rm == kStackRegister) a.word |= kWritesRm;
  if (has_memory) a.word |= kAccess;
  return a;
}

consteval Tables MakeTables() {
  Tables t{};
  t.mandatory_class[0x66] = 1;
  t.mandatory_class[0xF3] = 2;
  t.mandatory_class[0xF2] = 3;
  constexpr unsigned kFlagsOf[table::kClasses] = {0, kP66, kPF3, kPF2};
  for (unsigned map = 0; map < 2; ++map) {
    for (unsigned c = 0; c < table::kClasses; ++c) {
      for (unsigned opcode = 0; opcode < 256; ++opcode) {
        if (!kDecoder.is_opcode[map][opcode]) continue;
        t.summaries[map][c][0][opcode] = SummarizeSlot(map, opcode, kFlagsOf[c]);
        t.summaries[map][c][1][opcode] = SummarizeSlot(map, opcode, kFlagsOf[c] | kW);
      }
    }
  }
  for (unsigned rex = 0; rex < 16; ++rex) {
    t.rex[0x40 | rex] = static_cast<std::uint8_t>(kIsRex | (rex == 0 ? kBareRex : rex));
  }
  for (unsigned byte = 0; byte < 256; ++byte) {
    t.addressing[byte] = AddressingOf(byte);
    t.sib[byte] = static_cast<std::uint8_t>(((byte & 7) == 5 ? kSibNoBase : 0) |
                                            ((byte & 0x3F) == 0x24 ? kSibStack : 0));
  }
  t.addressing[kNoModrm].word = 1u << kMemoryRegs;
  return t;
}

inline constexpr Tables kTables = MakeTables();

}  // namespace screen

// The length of the instruction at `bytes`, if it is known to keep the rules wherever it stands,
// but for crossing bundle boundaries and for where it branches to; else 0. Of `bytes` there must be
// kDecodeWindow. Sets `is_branch` if it is a direct branch, which has no prefix then.
[[gnu::always_inline]] inline unsigned Screen(const unsigned char* bytes, bool& is_branch) {
  using namespace screen;
  // In this order at most one 67, one of 66, F3 and F2, one REX; an opcode of the first two maps.
  const unsigned has_67 = bytes[0] == 0x67 ? 1 : 0;
  const unsigned char* at = bytes + has_67;
  const unsigned c = kTables.mandatory_class[*at];
  at += c != 0 ? 1 : 0;
  const unsigned rex = kTables.rex[*at];
  at += rex / kIsRex;
  const unsigned map = *at == 0x0F ? 1 : 0;
  at += map;

  const Summary& summary = kTables.summaries[map][c][rex >> 3 & 1][*at];
  const Addressing& addressing = kTables.addressing[(at[1] | kNoModrm) & summary.addressing_mask];
  const unsigned by_sib = kTables.sib[at[2]] & addressing.by_sib;
  const unsigned length = static_cast<unsigned>(at - bytes) + 1 + addressing.length +
                          (by_sib & kSibNoBase) + summary.immediate;

  const unsigned prefixes = rex | has_67 * k67;
  const unsigned forbidden = (summary.word | addressing.word) & kAllPrefixes;
  // Without a branch, which the processor would often predict wrongly.
  const unsigned is_stack = by_sib / kSibStack & ((rex & (kX | kB)) == 0 ? 1 : 0);
  const std::uint32_t if_anywhere = (has_67 | is_stack) - 1;
  const std::uint32_t wrong = kWritesReg | kWritesRm | (kAccess & if_anywhere);
  const std::uint32_t both = summary.word & addressing.word;
  const std::uint32_t doubts = ((prefixes ^ summary.required) & forbidden) | (both & wrong);
  is_branch = (summary.word & kBranch) != 0;
  return doubts == 0 && (both & kAnyReg) != 0 ? length : 0;
}

// The same for a long NOP that begins with some 66 and perhaps a 2E: how assemblers fill gaps.
inline unsigned ScreenNop(const unsigned char* bytes) {
  unsigned at = 0;
  while (bytes[at] == 0x66 && at < kMaxInstructionLength) ++at;
  if (bytes[at] == 0x2E) ++at;
  const unsigned modrm = bytes[at + 2];
  const bool is_nop =
      bytes[at] == 0x0F && bytes[at + 1] == 0x1F && modrm < 0xC0 && (modrm & 0x38) == 0;
  if (!is_nop) return 0;
  const unsigned addressing = kDecoder.addressing[modrm];
  const bool has_base5 = (addressing & kSibBaseFlag) != 0 && (bytes[at + 3] & 7) == 5;
  const unsigned length = at + 2 + (addressing & kAddressingLength) + (has_base5 ? 4 : 0);
  return length <= kMaxInstructionLength ? length : 0;
}

}  // namespace zerocloud::verifier
