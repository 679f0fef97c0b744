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

// Prefix bits: the REX bits W 8, R 4, X 2, B 1, and 10 for 67.
inline constexpr unsigned k67 = 0x10;
inline constexpr unsigned kAllPrefixes = 0x1F;

// What all instructions with one opcode of the first two maps and one of no prefix, 66, F3 and F2
// have in common.
struct Summary {
  std::uint8_t memory_regs, register_regs;  // ModRM reg fields that are known; none: nothing is
  std::uint8_t cared_for, required;         // prefix bits: required or else forbidden, of the first
  // 1: the ModRM reg field, if it names rsp, writes it; 2: the rm field; and the same if there is a
  // W.
  std::uint8_t written, written_by_w;
  std::uint8_t layout;
  std::uint8_t is_branch : 1, is_free : 1;  // free: a memory operand is not accessed
};

// What a ModRM byte means for any of them.
struct Addressing {
  std::uint8_t forbidden;  // prefix bits that would have no effect
  std::uint8_t stack;      // as in Summary::written: the field is 4
  bool is_near_stack;      // the base may be rsp, with at most one byte of displacement
  std::uint8_t has_memory;
};

struct Tables {
  std::uint8_t mandatory_class[256];  // 1, 2, 3 for 66, F3, F2, else 0
  Summary summaries[2][table::kClasses][256];
  Addressing addressing[256];
};

// The part of `row` that the screen understands, or nothing of it.
consteval Summary Summarize(const OpcodeRow& row, unsigned opcode, unsigned flags) {
  const bool is_known = row.isa_level == 2 && row.lowest == 0 && row.highest == 0xFF &&
                        row.action <= Action::kBranch &&
                        (row.layout & ~unsigned{kHasModrm}) < kImmediate16;
  if (!is_known) return {};
  const bool has_modrm = (row.layout & kHasModrm) != 0;
  Summary s{};
  s.memory_regs = row.memory_regs;
  // A register operand that is none makes B useless.
  s.register_regs = has_modrm && row.rm == Role::kNo ? std::uint8_t{0} : row.register_regs;
  unsigned forbidden = 0;
  if (row.reg == Role::kNo) forbidden |= 4;
  if (!has_modrm) forbidden |= 2 | k67 | (row.opcode_register == Role::kNo ? 1u : 0u);
  if ((row.flag_mask & kW) != 0 && (row.flags & kW) == 0) forbidden |= 8;
  if (row.has_operand_size && (flags & kP66) != 0) forbidden |= 8;
  if (row.action == Action::kBranch) forbidden = kAllPrefixes;
  s.required = row.flags & kW;
  // One of these opcodes names rsp if there is no B, and all others name other registers.
  if ((row.written & 8) != 0 && opcode % 8 == kStackRegister) s.required |= 1;
  s.cared_for = static_cast<std::uint8_t>(forbidden | s.required);
  const bool is_by_w = !(row.has_operand_size && (flags & kP66) != 0);
  const auto note = [&](Role role, unsigned bit) {
    if (role == Role::kWrite && is_by_w) s.written_by_w |= static_cast<std::uint8_t>(bit);
    if (role == Role::kWriteB || role == Role::kWriteQ || (role == Role::kWrite && !is_by_w)) {
      s.written |= static_cast<std::uint8_t>(bit);
    }
  };
  note(row.reg, 1);
  note(row.rm, 2);
  s.is_free = row.action == Action::kAddress ? 1 : 0;
  s.is_branch = row.action == Action::kBranch ? 1 : 0;
  s.layout = row.layout;
  return s;
}

// Of two forms with the same opcode: what holds for both. Nothing, if that is too little.
consteval Summary Merge(const Summary& a, const Summary& b) {
  if (a.layout != b.layout || a.is_free != b.is_free || a.is_branch != b.is_branch ||
      a.required != b.required) {
    return {};
  }
  Summary s = a;
  s.memory_regs |= b.memory_regs;
  s.register_regs |= b.register_regs;
  s.cared_for |= b.cared_for;
  s.written |= b.written;
  s.written_by_w |= b.written_by_w;
  return s;
}

consteval Summary SummarizeSlot(unsigned map, unsigned opcode, unsigned flags) {
  // The long NOP, which is in no table.
  if (map == 1 && opcode == 0x1F && (flags & (kPF3 | kPF2)) == 0) {
    Summary nop{};
    nop.memory_regs = 1;
    nop.cared_for = kAllPrefixes;
    nop.is_free = 1;
    nop.layout = kHasModrm | kNoImmediate;
    return nop;
  }
  Summary all{};
  bool is_first = true;
  const std::size_t slot = table::Slot(static_cast<Space>(map), opcode, flags);
  for (std::size_t k = table::kIndex.begin[slot]; k < table::kIndex.begin[slot + 1]; ++k) {
    const OpcodeRow& row = table::kRows[table::kIndex.rows[k]];
    if ((flags & row.flag_mask) != (row.flags & 7u)) continue;
    const Summary one = Summarize(row, opcode, flags);
    if (one.memory_regs == 0 && one.register_regs == 0) continue;  // the others may still be known
    all = is_first ? one : Merge(all, one);
    is_first = false;
  }
  return all;
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
        if (kDecoder.is_opcode[map][opcode])
          t.summaries[map][c][opcode] = SummarizeSlot(map, opcode, kFlagsOf[c]);
      }
    }
  }
  for (unsigned modrm = 0; modrm < 256; ++modrm) {
    const unsigned mod = modrm >> 6, reg = modrm >> 3 & 7, rm = modrm & 7;
    const bool has_memory = mod != 3, is_rip = mod == 0 && rm == 5, has_sib = has_memory && rm == 4;
    Addressing& a = t.addressing[modrm];
    a.forbidden = static_cast<std::uint8_t>((has_sib ? 0u : 2u) | (is_rip ? 1u : 0u) |
                                            (!has_memory || is_rip ? k67 : 0u));
    a.stack = static_cast<std::uint8_t>((reg == 4 ? 1u : 0u) | (!has_memory && rm == 4 ? 2u : 0u));
    a.is_near_stack = has_sib && mod < 2;
    a.has_memory = has_memory ? 1 : 0;
  }
  return t;
}

inline constexpr Tables kTables = MakeTables();

}  // namespace screen

// The length of the instruction at `bytes`, if it is known to keep the rules wherever it stands,
// but for crossing bundle boundaries and for where it branches to; else 0. Of `bytes` there must be
// kDecodeWindow. Sets `is_branch` if it is a direct branch, which has no prefix then.
[[gnu::always_inline]] inline unsigned Screen(const unsigned char* bytes, bool& is_branch) {
  // In this order at most one 67, one of 66, F3 and F2, one REX; an opcode of the first two maps.
  const unsigned has_67 = bytes[0] == 0x67 ? 1 : 0;
  const unsigned char* at = bytes + has_67;
  const unsigned c = screen::kTables.mandatory_class[*at];
  at += c != 0 ? 1 : 0;
  const unsigned has_rex = (*at & 0xF0) == 0x40 ? 1 : 0;
  const unsigned rex = *at & (0 - has_rex);
  at += has_rex;
  const unsigned map = *at == 0x0F ? 1 : 0;
  at += map;

  const screen::Summary& summary = screen::kTables.summaries[map][c][*at];
  const unsigned modrm_mask = 0 - (unsigned{summary.layout} >> 4);
  const unsigned modrm = at[1] & modrm_mask;
  const unsigned sib = at[2];
  const unsigned lengths = kDecoder.addressing[modrm];
  const unsigned base5 = (sib & 7) == 5 ? (lengths & kSibBaseFlag) / (kSibBaseFlag / 4) : 0;
  const unsigned p66_w = (c == 1 ? 1u : 0u) | (rex & 8) >> 2;
  const unsigned length = static_cast<unsigned>(at - bytes) + 1 +
                          (((lengths & kAddressingLength) + base5) & modrm_mask) +
                          kDecoder.immediate[summary.layout & 0xF][p66_w];

  const screen::Addressing& addressing = screen::kTables.addressing[modrm];
  const unsigned prefixes = (rex & 0xF) | has_67 * screen::k67;
  const unsigned regs = modrm >= 0xC0 ? summary.register_regs : summary.memory_regs;
  const unsigned cared_for = summary.cared_for | (addressing.forbidden & modrm_mask);
  unsigned doubts = (prefixes ^ summary.required) & cared_for;
  doubts |= rex == 0x40 ? 1u : 0u;
  const unsigned written = summary.written | (summary.written_by_w & (0 - (rex >> 3 & 1)));
  doubts |= written & addressing.stack & modrm_mask;
  doubts |= (regs >> (modrm >> 3 & 7) & 1) ^ 1;
  const bool is_stack = addressing.is_near_stack && (sib & 0x3F) == 0x24 && (rex & 3) == 0;
  const unsigned confined = summary.is_free | has_67 | (is_stack ? 1u : 0u);
  doubts |= addressing.has_memory & modrm_mask & ~confined;
  is_branch = summary.is_branch != 0;
  return doubts == 0 ? length : 0;
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
