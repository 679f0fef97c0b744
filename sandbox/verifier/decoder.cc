#include "sandbox/verifier/decoder.h"

#include <Zydis/Decoder.h>

namespace zerocloud::verifier {
namespace {

const ZydisDecoder& MinimalDecoder() {
  static const ZydisDecoder decoder = [] {
    ZydisDecoder made;
    ZydisDecoderInit(&made, ZYDIS_MACHINE_MODE_LONG_64, ZYDIS_STACK_WIDTH_64);
    ZydisDecoderEnableMode(&made, ZYDIS_DECODER_MODE_MINIMAL, ZYAN_TRUE);
    return made;
  }();
  return decoder;
}

// Reads the parts of one instruction, never beyond its `length` bytes: an instruction whose parts
// need more is one on which decoder and parts disagree.
class Parts {
 public:
  Parts(std::span<const std::byte> bytes, Instruction& instruction)
      : bytes_(bytes), i_(instruction) {}

  bool Read(bool has_modrm) {
    ReadPrefixes();
    if (!ReadOpcode()) return false;
    i_.has_modrm = has_modrm;
    if (has_modrm && !ReadModrm()) return false;
    i_.header_length = static_cast<std::uint8_t>(at_);
    return true;
  }

 private:
  [[nodiscard]] bool Has(std::size_t count) const { return bytes_.size() - at_ >= count; }
  [[nodiscard]] std::uint8_t Peek() const {
    return at_ < bytes_.size() ? std::to_integer<std::uint8_t>(bytes_[at_]) : std::uint8_t{0};
  }
  std::uint8_t Next() {
    const std::uint8_t byte = Peek();
    ++at_;
    return byte;
  }

  void Once(bool& flag) {
    i_.has_repeated_prefix |= flag;
    flag = true;
  }

  // True if `byte` is a legacy prefix, which it then notes.
  bool NotePrefix(std::uint8_t byte) {
    switch (byte) {
      case 0xF0:
        Once(i_.has_lock);
        return true;
      case 0xF2:
        Once(i_.has_repne);
        return true;
      case 0xF3:
        Once(i_.has_rep);
        return true;
      case 0x66:
        Once(i_.has_operand_size);
        ++i_.operand_size_count;
        return true;
      case 0x67:
        Once(i_.has_address_size);
        return true;
      case 0x2E:
        i_.has_only_cs = !i_.has_segment;
        Once(i_.has_segment);
        return true;
      case 0x26:
      case 0x36:
      case 0x3E:
      case 0x64:
      case 0x65:
        i_.has_only_cs = false;
        Once(i_.has_segment);
        return true;
      default:
        return false;
    }
  }

  void ReadPrefixes() {
    while (at_ < bytes_.size()) {
      const std::uint8_t byte = Peek();
      if ((byte & 0xF0) == 0x40) {
        i_.has_misplaced_rex |= i_.rex != 0;
        i_.rex = byte;
      } else if (NotePrefix(byte)) {
        i_.has_misplaced_rex |= i_.rex != 0;
        ++i_.prefix_count;
      } else {
        break;
      }
      ++at_;
    }
    i_.has_repeated_prefix |= i_.has_rep && i_.has_repne;
    i_.w = (i_.rex & 8) != 0;
    i_.r = (i_.rex & 4) != 0;
    i_.x = (i_.rex & 2) != 0;
    i_.b = (i_.rex & 1) != 0;
  }

  bool ReadOpcode() {
    if (i_.encoding == Encoding::kVex) return ReadVex();
    if (!Has(1)) return false;
    i_.opcode = Next();
    if (i_.opcode != 0x0F) return true;
    if (!Has(1)) return false;
    i_.map = Map::k0F;
    i_.opcode = Next();
    if (i_.opcode != 0x38 && i_.opcode != 0x3A) return true;
    if (!Has(1)) return false;
    i_.map = i_.opcode == 0x38 ? Map::k0F38 : Map::k0F3A;
    i_.opcode = Next();
    return true;
  }

  bool ReadVex() {
    if (i_.has_operand_size || i_.has_rep || i_.has_repne || i_.has_lock || i_.rex != 0)
      return false;
    if (!Has(3)) return false;
    const std::uint8_t escape = Next();
    std::uint8_t last = Next();
    i_.r = (last & 0x80) == 0;
    i_.map = Map::k0F;
    if (escape == 0xC4) {
      i_.x = (last & 0x40) == 0;
      i_.b = (last & 0x20) == 0;
      const unsigned map = last & 0x1F;
      if (map < 1 || map > 3 || !Has(2)) return false;
      i_.map = static_cast<Map>(map);
      last = Next();
      i_.w = (last & 0x80) != 0;
    } else if (escape != 0xC5) {
      return false;
    }
    i_.vex_vvvv = static_cast<std::uint8_t>(~last >> 3 & 0xF);
    i_.vex_l = (last & 4) != 0;
    const unsigned pp = last & 3;
    i_.has_operand_size |= pp == 1;
    i_.has_rep |= pp == 2;
    i_.has_repne |= pp == 3;
    i_.opcode = Next();
    return true;
  }

  bool ReadModrm() {
    if (!Has(1)) return false;
    i_.modrm = Next();
    i_.mod = i_.modrm >> 6;
    i_.reg = i_.modrm >> 3 & 7;
    i_.rm = i_.modrm & 7;
    if (i_.mod == 3) return true;
    std::size_t displacement_size = i_.mod == 1 ? 1 : i_.mod == 2 ? 4 : 0;
    if (i_.rm == 4) {
      if (!Has(1)) return false;
      const std::uint8_t sib = Next();
      i_.has_sib = true;
      i_.sib_index = sib >> 3 & 7;
      i_.sib_base = sib & 7;
      if (i_.mod == 0 && i_.sib_base == 5) displacement_size = 4;
    } else if (i_.mod == 0 && i_.rm == 5) {
      displacement_size = 4;
    }
    return ReadDisplacement(displacement_size);
  }

  bool ReadDisplacement(std::size_t size) {
    if (!Has(size)) return false;
    std::uint32_t value = 0;
    for (std::size_t k = 0; k < size; ++k) value |= std::uint32_t{Next()} << (8 * k);
    i_.displacement =
        size == 1 ? static_cast<std::int8_t>(value) : static_cast<std::int32_t>(value);
    return true;
  }

  std::span<const std::byte> bytes_;
  Instruction& i_;
  std::size_t at_ = 0;
};

}  // namespace

bool Decode(std::span<const std::byte> bytes, Instruction& instruction) {
  instruction = {};
  ZydisDecodedInstruction decoded;
  if (!ZYAN_SUCCESS(ZydisDecoderDecodeInstruction(&MinimalDecoder(), nullptr, bytes.data(),
                                                  bytes.size(), &decoded))) {
    return false;
  }
  instruction.length = decoded.length;
  switch (decoded.encoding) {
    case ZYDIS_INSTRUCTION_ENCODING_LEGACY:
      instruction.encoding = Encoding::kLegacy;
      break;
    case ZYDIS_INSTRUCTION_ENCODING_VEX:
      instruction.encoding = Encoding::kVex;
      break;
    default:
      instruction.encoding = Encoding::kOther;
      return true;
  }
  const bool has_modrm = (decoded.attributes & ZYDIS_ATTRIB_HAS_MODRM) != 0;
  return Parts(bytes.first(instruction.length), instruction).Read(has_modrm);
}

}  // namespace zerocloud::verifier
