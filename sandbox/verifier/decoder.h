// One instruction's bytes, taken apart: its length and the fields that the rules need. What the
// parts mean, and whether they are allowed, is decided by the opcode table (opcodes.h).
//
// Trusted for the length and the fields of what the opcode table allows: the two are compared with
// each other when this is compiled (opcodes.h), and with two other decoders by sandbox/proof. For
// other instructions the length only says where to go on looking for violations. Freestanding; in a
// header because the verifier spends most of its time here.
#pragma once

#include <cstddef>
#include <cstdint>

namespace zerocloud::verifier {

inline constexpr unsigned kStackRegister = 4;  // rsp, esp, sp, spl
inline constexpr std::size_t kMaxInstructionLength = 15;
// Decode may look at this many bytes, whatever the instruction's length.
inline constexpr std::size_t kDecodeWindow = 32;

// Encoding and opcode map: legacy one-byte, 0F, 0F 38, 0F 3A; VEX with the last three; anything
// else (EVEX, XOP, 3DNow!).
enum class Space : std::uint8_t { kOne, k0F, k0F38, k0F3A, kV0F, kV0F38, kV0F3A, kOther };
inline constexpr std::size_t kSpaces = 7;  // that have opcodes

// What prefixes say. The first six choose a row of the opcode table; VEX sets 66, F3 and F2 by its
// pp.
enum Flag : std::uint16_t {
  kP66 = 1 << 0,
  kPF3 = 1 << 1,
  kPF2 = 1 << 2,
  kW = 1 << 3,     // of REX or VEX
  kL = 1 << 4,     // VEX.L
  kVvvv = 1 << 5,  // VEX.vvvv names a register
  kP67 = 1 << 6,
  kLock = 1 << 7,
  kSegment = 1 << 8,       // 26, 2E, 36, 3E, 64 or 65
  kNotOneCs = 1 << 9,      // the segment prefixes are not just one 2E
  kRepeated = 1 << 10,     // one prefix twice, or both F2 and F3
  kMisplacedRex = 1 << 11  // a REX that something else than the opcode follows
};

constexpr std::uint32_t Read32(const unsigned char* bytes) {
  return bytes[0] | std::uint32_t{bytes[1]} << 8 | std::uint32_t{bytes[2]} << 16 |
         std::uint32_t{bytes[3]} << 24;
}

// Register numbers are as the programmer means them: VEX inversions undone.
struct Instruction {
  const unsigned char* bytes;
  std::uint8_t length;         // of all of it
  std::uint8_t header_length;  // up to the immediate
  Space space;
  std::uint8_t opcode;
  std::uint16_t flags;  // Flag
  // 40 if there is a REX byte, and the bits 8 W, 4 R, 2 X, 1 B of REX or VEX.
  std::uint8_t rex;
  std::uint8_t vvvv;
  bool has_modrm;
  std::uint8_t modrm;  // 0 if there is none
  std::uint8_t sib;    // only if has_sib()

  [[nodiscard]] bool has(unsigned flag) const { return (flags & flag) != 0; }
  [[nodiscard]] unsigned mod() const { return modrm >> 6; }
  [[nodiscard]] unsigned reg() const { return modrm >> 3 & 7; }  // without R
  [[nodiscard]] unsigned rm() const { return modrm & 7; }        // without B
  [[nodiscard]] unsigned full_reg() const { return reg() | (rex & 4u) << 1; }
  [[nodiscard]] unsigned full_rm() const { return rm() | (rex & 1u) << 3; }
  [[nodiscard]] unsigned opcode_register() const { return (opcode & 7u) | (rex & 1u) << 3; }
  [[nodiscard]] bool has_memory() const { return has_modrm && modrm < 0xC0; }
  [[nodiscard]] bool has_sib() const { return has_memory() && rm() == 4; }
  [[nodiscard]] bool is_rip_relative() const { return has_modrm && (modrm & 0xC7) == 5; }
  // Base rsp, no index.
  [[nodiscard]] bool is_stack_relative() const {
    return has_sib() && (sib & 0x3F) == 0x24 && (rex & 3) == 0;
  }
  // Of a memory operand that is relative to rip or rsp.
  [[nodiscard]] std::int32_t displacement() const {
    if (mod() == 1) return static_cast<std::int8_t>(bytes[header_length - 1]);
    const bool has_none = mod() == 0 && !is_rip_relative();
    return has_none ? 0 : static_cast<std::int32_t>(Read32(bytes + header_length - 4));
  }
};

// What follows an opcode.
//   .  nothing: there is no such opcode      -  nothing      b  1 byte       w  2 bytes
//   z  4 bytes, 2 with 66    v  the same, 8 with W    o  8 bytes, 4 with 67  e  3 bytes
//   j  4 bytes: the distance of a branch
//   m  ModRM    M  ModRM, b    Z  ModRM, z    g  ModRM, b if its reg field is 0 or 1
//   G  the same with z    r  ModRM that never has memory
// Prefixes and escapes are never looked up.
inline constexpr char kLayoutOne[] =
    //  0 1 2 3 4 5 6 7 8 9 A B C D E F
    "mmmmbz..mmmmbz.."   // 00
    "mmmmbz..mmmmbz.."   // 10
    "mmmmbz..mmmmbz.."   // 20
    "mmmmbz..mmmmbz.."   // 30
    "................"   // 40
    "----------------"   // 50
    "...m....zZbM----"   // 60
    "bbbbbbbbbbbbbbbb"   // 70
    "MZ.Mmmmmmmmmmmmm"   // 80
    "----------.-----"   // 90
    "oooo----bz------"   // A0
    "bbbbbbbbvvvvvvvv"   // B0
    "MMw-..MZe-w--b.-"   // C0
    "mmmm...-mmmmmmmm"   // D0
    "bbbbbbbbjj.b----"   // E0
    ".-..--gG------mm";  // F0
inline constexpr char kLayout0F[] =
    "mmmm.-----.-.m-."   // 00
    "mmmmmmmmmmmmmmmm"   // 10
    "rrrr....mmmmmmmm"   // 20
    "------.-........"   // 30
    "mmmmmmmmmmmmmmmm"   // 40
    "mmmmmmmmmmmmmmmm"   // 50
    "mmmmmmmmmmmmmmmm"   // 60
    "MMMMmmm-mm..mmmm"   // 70
    "jjjjjjjjjjjjjjjj"   // 80
    "mmmmmmmmmmmmmmmm"   // 90
    "---mMmmm---mMmmm"   // A0
    "mmmmmmmmmmMmmmmm"   // B0
    "mmMmMMMm--------"   // C0
    "mmmmmmmmmmmmmmmm"   // D0
    "mmmmmmmmmmmmmmmm"   // E0
    "mmmmmmmmmmmmmmmm";  // F0

// The layout of an opcode as numbers: bit 4 a ModRM byte, the low bits an ImmediateKind.
enum ImmediateKind : std::uint8_t {
  kNoImmediate,
  kImmediate8,
  kImmediateZ,
  kImmediateV,
  kDistance32,
  // From here on they take more than a look at 66 and W.
  kImmediate16,
  kImmediate24,
  kMemoryOffset,
  kGroup3Byte,
  kGroup3,
  kRegisterModrm,  // no immediate; a ModRM byte whose mod is ignored
  kUndefined,
};
inline constexpr std::uint8_t kHasModrm = 0x10;

consteval std::uint8_t LayoutOf(char letter) {
  switch (letter) {
    case '-':
      return kNoImmediate;
    case 'b':
      return kImmediate8;
    case 'w':
      return kImmediate16;
    case 'z':
      return kImmediateZ;
    case 'j':
      return kDistance32;
    case 'v':
      return kImmediateV;
    case 'o':
      return kMemoryOffset;
    case 'e':
      return kImmediate24;
    case 'm':
      return kHasModrm | kNoImmediate;
    case 'M':
      return kHasModrm | kImmediate8;
    case 'Z':
      return kHasModrm | kImmediateZ;
    case 'g':
      return kHasModrm | kGroup3Byte;
    case 'G':
      return kHasModrm | kGroup3;
    case 'r':
      return kHasModrm | kRegisterModrm;
    default:
      return kUndefined;
  }
}

struct DecoderTables {
  std::uint16_t prefix[256];     // the Flag of a legacy prefix, else 0
  bool is_opcode[2][256];        // of the first two maps: it is one, and no prefix or escape
  std::uint8_t layout[4][256];   // by map
  std::uint8_t addressing[256];  // by ModRM: bytes with SIB and displacement, and kSibBaseFlag
  std::uint8_t immediate[kImmediate16][4];  // by kind and 66 | W << 1
};

inline constexpr std::uint8_t kSibBaseFlag = 0x20;  // a SIB base of 5 means four bytes more
inline constexpr std::uint8_t kAddressingLength = 0x0F;

inline constexpr unsigned char kSegmentPrefixes[] = {0x26, 0x2E, 0x36, 0x3E, 0x64, 0x65};

consteval DecoderTables MakeDecoderTables() {
  DecoderTables t{};
  for (const unsigned byte : kSegmentPrefixes) t.prefix[byte] = kSegment;
  t.prefix[0x66] = kP66;
  t.prefix[0x67] = kP67;
  t.prefix[0xF0] = kLock;
  t.prefix[0xF2] = kPF2;
  t.prefix[0xF3] = kPF3;
  for (unsigned opcode = 0; opcode < 256; ++opcode) {
    t.is_opcode[0][opcode] = t.prefix[opcode] == 0 && (opcode & 0xF0) != 0x40 && opcode != 0x0F &&
                             opcode != 0x62 && opcode != 0x8F && opcode != 0xC4 && opcode != 0xC5;
    t.is_opcode[1][opcode] = opcode != 0x0F && opcode != 0x38 && opcode != 0x3A;
    t.layout[0][opcode] = LayoutOf(kLayoutOne[opcode]);
    t.layout[1][opcode] = LayoutOf(kLayout0F[opcode]);
    t.layout[2][opcode] = LayoutOf('m');
    t.layout[3][opcode] = LayoutOf('M');
  }
  for (unsigned modrm = 0; modrm < 256; ++modrm) {
    const unsigned mod = modrm >> 6, rm = modrm & 7;
    unsigned length = 1;
    if (mod == 1) length += 1;
    if (mod == 2 || (mod == 0 && rm == 5)) length += 4;
    if (mod != 3 && rm == 4) length += 1;
    if (mod == 0 && rm == 4) length |= kSibBaseFlag;
    t.addressing[modrm] = static_cast<std::uint8_t>(length);
  }
  for (unsigned p66_w = 0; p66_w < 4; ++p66_w) {
    t.immediate[kImmediate8][p66_w] = 1;
    t.immediate[kImmediateZ][p66_w] = p66_w == 1 ? 2 : 4;
    t.immediate[kDistance32][p66_w] = 4;
    t.immediate[kImmediateV][p66_w] = p66_w >= 2 ? 8 : p66_w == 1 ? 2 : 4;
  }
  return t;
}
inline constexpr DecoderTables kDecoder = MakeDecoderTables();

// The prefixes before an opcode, in any number and order; false if there are more than 14 bytes of
// them.
inline bool ReadPrefixes(const unsigned char* bytes, Instruction& i, unsigned& at) {
  for (at = 0; at < kMaxInstructionLength; ++at) {
    const unsigned char byte = bytes[at];
    const bool is_rex = (byte & 0xF0) == 0x40;
    const std::uint16_t flag = kDecoder.prefix[byte];
    if (!is_rex && flag == 0) return true;
    if (i.rex != 0) i.flags |= kMisplacedRex;
    if (is_rex) {
      i.rex = byte;
      continue;
    }
    if (flag == kSegment && (byte != 0x2E || i.has(kSegment))) i.flags |= kNotOneCs;
    if (i.has(flag) || (flag == kPF2 && i.has(kPF3)) || (flag == kPF3 && i.has(kPF2))) {
      i.flags |= kRepeated;
    }
    i.flags |= flag;
  }
  return false;
}

// VEX up to and with its opcode. False if it stands where it may not, or names no map that exists.
inline bool ReadVex(const unsigned char* bytes, Instruction& i, unsigned& at, unsigned& map) {
  if (i.has(kP66 | kPF3 | kPF2 | kLock) || i.rex != 0) return false;
  const unsigned escape = bytes[at++];
  unsigned last = bytes[at++];
  i.rex = (last & 0x80) == 0 ? 4 : 0;
  map = 1;
  if (escape == 0xC4) {
    if ((last & 0x40) == 0) i.rex |= 2;
    if ((last & 0x20) == 0) i.rex |= 1;
    map = last & 0x1F;
    if (map < 1 || map > 3) return false;
    last = bytes[at++];
    if ((last & 0x80) != 0) i.rex |= 8;
  }
  i.vvvv = ~last >> 3 & 0xF;
  if (i.vvvv != 0) i.flags |= kVvvv;
  if ((last & 4) != 0) i.flags |= kL;
  constexpr std::uint16_t kImplied[4] = {0, kP66, kPF3, kPF2};
  i.flags |= kImplied[last & 3];
  i.space = static_cast<Space>(static_cast<unsigned>(Space::kV0F) - 1 + map);
  i.opcode = bytes[at++];
  return true;
}

// EVEX and XOP likewise. No rule looks further at them.
inline bool ReadOther(const unsigned char* bytes, Instruction& i, unsigned& at, unsigned& map) {
  const bool is_evex = bytes[at] == 0x62;
  if (i.has(kP66 | kPF3 | kPF2 | kLock) || i.rex != 0) return false;
  map = bytes[at + 1] & (is_evex ? 7 : 0x1F);
  if (is_evex && map < 1) return false;
  if (map > 3) map = map == 8 ? 3 : 2;
  i.space = Space::kOther;
  at += is_evex ? 4 : 3;
  i.opcode = bytes[at++];
  return true;
}

// Immediates that take more than a look at 66 and W. More than 15 if the opcode does not exist.
inline unsigned RareImmediate(const Instruction& i, unsigned kind, unsigned p66_w) {
  switch (kind) {
    case kImmediate16:
      return 2;
    case kImmediate24:
      return 3;
    case kMemoryOffset:
      return i.has(kP67) ? 4 : 8;
    case kGroup3Byte:
      return i.reg() < 2 ? 1 : 0;
    case kGroup3:
      return i.reg() < 2 ? kDecoder.immediate[kImmediateZ][p66_w] : 0;
    case kRegisterModrm:
      return 0;
    default:
      return kMaxInstructionLength + 1;
  }
}

// The opcode that begins with `first`, which is none of one byte alone. Takes 8F, an opcode or XOP,
// too.
inline bool ReadEscaped(const unsigned char* bytes, Instruction& i, unsigned& at, unsigned& map) {
  const unsigned first = bytes[at];
  if (first == 0xC4 || first == 0xC5) return ReadVex(bytes, i, at, map);
  if (first == 0x62 || (first == 0x8F && (bytes[at + 1] & 0x1F) >= 8)) {
    return ReadOther(bytes, i, at, map);
  }
  i.opcode = bytes[at++];
  if (first != 0x0F) return true;
  map = 1;
  i.space = Space::k0F;
  i.opcode = bytes[at++];
  if (i.opcode == 0x0F) {  // 3DNow!
    map = 3;
    i.space = Space::kOther;
  } else if (i.opcode == 0x38 || i.opcode == 0x3A) {
    map = i.opcode == 0x38 ? 2 : 3;
    i.space = static_cast<Space>(map);
    i.opcode = bytes[at++];
  }
  return true;
}

// Takes apart the instruction at the start of `bytes`, of which there must be kDecodeWindow. False
// if there is none of at most 15 bytes.
inline bool Decode(const unsigned char* bytes, Instruction& i) {
  i = {};
  i.bytes = bytes;
  unsigned at = 0, map = 0;
  if (!ReadPrefixes(bytes, i, at)) return false;
  if (kDecoder.is_opcode[0][bytes[at]]) {
    i.opcode = bytes[at++];
  } else if (!ReadEscaped(bytes, i, at, map)) {
    return false;
  }
  static_assert(kW == 8, "the bit of REX");
  i.flags |= static_cast<std::uint16_t>(i.rex & kW);

  const unsigned layout = kDecoder.layout[map][i.opcode];
  const unsigned kind = layout & ~unsigned{kHasModrm};
  i.has_modrm = (layout & kHasModrm) != 0;
  if (i.has_modrm) {
    i.modrm = bytes[at];
    i.sib = bytes[at + 1];
    const unsigned addressing = kDecoder.addressing[kind == kRegisterModrm ? 0xC0 : i.modrm];
    at += addressing & kAddressingLength;
    if ((addressing & kSibBaseFlag) != 0 && (i.sib & 7) == 5) at += 4;
  }
  i.header_length = static_cast<std::uint8_t>(at);
  const unsigned p66_w = (i.flags & kP66) | (i.flags & kW) >> 2;
  at += kind < kImmediate16 ? kDecoder.immediate[kind][p66_w] : RareImmediate(i, kind, p66_w);
  i.length = static_cast<std::uint8_t>(at);
  // LOCK is for what writes memory.
  return at <= kMaxInstructionLength && !(i.has(kLock) && !i.has_memory());
}

}  // namespace zerocloud::verifier
