// The decoder seam: one instruction's bytes, taken apart. What the parts mean, and whether they are
// allowed, is decided by the opcode table (opcodes.h), never by the decoder. decoder.cc is the only
// file of the verifier that knows Zydis.
//
// Trusted for two things: the length of an instruction (which the opcode table checks again, from
// the parts) and whether it has a ModRM byte. The parts themselves are read from the bytes here.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace zerocloud::verifier {

inline constexpr std::size_t kMaxInstructionLength = 15;

enum class Encoding : std::uint8_t { kLegacy, kVex, kOther };

// The opcode map: one-byte opcodes, 0F, 0F 38, 0F 3A. VEX has the last three.
enum class Map : std::uint8_t { kOneByte, k0F, k0F38, k0F3A };

// Register numbers and prefix bits are as the programmer means them: VEX inversions undone.
struct Instruction {
  std::uint8_t length = 0;         // all bytes, as the decoder says
  std::uint8_t header_length = 0;  // all bytes up to the immediate, as the parts say
  Encoding encoding = Encoding::kOther;
  Map map = Map::kOneByte;
  std::uint8_t opcode = 0;

  std::uint8_t prefix_count = 0;        // legacy prefixes, without REX
  std::uint8_t operand_size_count = 0;  // how many of them are 66
  bool has_lock = false;                // F0
  bool has_segment = false;             // 26, 2E, 36, 3E, 64 or 65
  bool has_only_cs = false;             // the only segment prefix is one 2E
  bool has_operand_size = false;        // 66; for VEX: implied by pp
  bool has_address_size = false;        // 67
  bool has_rep = false;                 // F3; for VEX: implied by pp
  bool has_repne = false;               // F2; for VEX: implied by pp
  bool has_repeated_prefix = false;     // one prefix twice, or both F2 and F3
  bool has_misplaced_rex = false;       // a REX that something else than the opcode follows
  std::uint8_t rex = 0;                 // the REX byte, or 0
  bool w = false, r = false, x = false, b = false;  // REX or VEX bits
  bool vex_l = false;
  std::uint8_t vex_vvvv = 0;

  bool has_modrm = false;
  std::uint8_t modrm = 0;
  std::uint8_t mod = 0, reg = 0, rm = 0;  // its fields, without the REX or VEX extension
  bool has_sib = false;
  std::uint8_t sib_base = 0, sib_index = 0;  // without the extension
  std::int32_t displacement = 0;

  [[nodiscard]] bool has_memory() const { return has_modrm && mod != 3; }
  [[nodiscard]] bool is_rip_relative() const { return has_modrm && mod == 0 && rm == 5; }
  [[nodiscard]] std::uint8_t full_reg() const {
    return static_cast<std::uint8_t>(reg | (r ? 8 : 0));
  }
  [[nodiscard]] std::uint8_t full_rm() const { return static_cast<std::uint8_t>(rm | (b ? 8 : 0)); }
  [[nodiscard]] std::uint8_t opcode_register() const {
    return static_cast<std::uint8_t>((opcode & 7) | (b ? 8 : 0));
  }
};

// Takes apart the instruction at the start of `bytes`. False if there is none within them.
bool Decode(std::span<const std::byte> bytes, Instruction& instruction);

}  // namespace zerocloud::verifier
