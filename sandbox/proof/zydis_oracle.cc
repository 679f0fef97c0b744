#include "sandbox/proof/zydis_oracle.h"

#include <Zydis/Decoder.h>
#include <Zydis/Formatter.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <optional>
#include <set>
#include <vector>

namespace zerocloud::proof {
namespace {

struct Decoded {
  std::uint64_t address = 0;
  ZydisDecodedInstruction instruction;
  std::array<ZydisDecodedOperand, ZYDIS_MAX_OPERAND_COUNT> operands;

  [[nodiscard]] std::span<const ZydisDecodedOperand> all() const {
    return std::span(operands).first(instruction.operand_count);
  }
  [[nodiscard]] ZydisMnemonic mnemonic() const { return instruction.mnemonic; }
};

bool Contains(std::initializer_list<ZydisMnemonic> list, ZydisMnemonic mnemonic) {
  return std::ranges::find(list, mnemonic) != list.end();
}

bool IsKnownExtension(ZydisISAExt extension) {
  switch (extension) {
    case ZYDIS_ISA_EXT_AVX:
    case ZYDIS_ISA_EXT_AVX2:
    case ZYDIS_ISA_EXT_BASE:
    case ZYDIS_ISA_EXT_BMI1:
    case ZYDIS_ISA_EXT_BMI2:
    case ZYDIS_ISA_EXT_F16C:
    case ZYDIS_ISA_EXT_FMA:
    case ZYDIS_ISA_EXT_LONGMODE:
    case ZYDIS_ISA_EXT_LZCNT:
    case ZYDIS_ISA_EXT_MOVBE:
    case ZYDIS_ISA_EXT_PAUSE:
    case ZYDIS_ISA_EXT_SSE:
    case ZYDIS_ISA_EXT_SSE2:
    case ZYDIS_ISA_EXT_SSE3:
    case ZYDIS_ISA_EXT_SSE4:
    case ZYDIS_ISA_EXT_SSSE3:
    case ZYDIS_ISA_EXT_X87:
      return true;
    default:
      return false;
  }
}

bool IsAllowedCategory(ZydisInstructionCategory category, ZydisMnemonic mnemonic) {
  switch (category) {
    case ZYDIS_CATEGORY_AVX2GATHER:
    case ZYDIS_CATEGORY_BROADCAST:
      return category == ZYDIS_CATEGORY_BROADCAST;
    case ZYDIS_CATEGORY_SYSCALL:
    case ZYDIS_CATEGORY_SYSRET:
    case ZYDIS_CATEGORY_IO:
    case ZYDIS_CATEGORY_IOSTRINGOP:
    case ZYDIS_CATEGORY_SEGOP:
    case ZYDIS_CATEGORY_RDRAND:
    case ZYDIS_CATEGORY_RDSEED:
    case ZYDIS_CATEGORY_XSAVE:
    case ZYDIS_CATEGORY_XSAVEOPT:
    case ZYDIS_CATEGORY_MMX:
      return false;
    case ZYDIS_CATEGORY_SYSTEM:
      return mnemonic == ZYDIS_MNEMONIC_HLT;
    case ZYDIS_CATEGORY_INTERRUPT:
      return mnemonic == ZYDIS_MNEMONIC_INT3;
    default:
      return true;
  }
}

constexpr auto kRefused = {
    ZYDIS_MNEMONIC_CPUID,    ZYDIS_MNEMONIC_ENTER,    ZYDIS_MNEMONIC_F2XM1,
    ZYDIS_MNEMONIC_FCOS,     ZYDIS_MNEMONIC_FLDENV,   ZYDIS_MNEMONIC_FNSAVE,
    ZYDIS_MNEMONIC_FNSTENV,  ZYDIS_MNEMONIC_FPATAN,   ZYDIS_MNEMONIC_FPTAN,
    ZYDIS_MNEMONIC_FRSTOR,   ZYDIS_MNEMONIC_FSIN,     ZYDIS_MNEMONIC_FSINCOS,
    ZYDIS_MNEMONIC_FYL2X,    ZYDIS_MNEMONIC_FYL2XP1,  ZYDIS_MNEMONIC_JRCXZ,
    ZYDIS_MNEMONIC_JECXZ,    ZYDIS_MNEMONIC_LEAVE,    ZYDIS_MNEMONIC_LOOP,
    ZYDIS_MNEMONIC_LOOPE,    ZYDIS_MNEMONIC_LOOPNE,   ZYDIS_MNEMONIC_POPFQ,
    ZYDIS_MNEMONIC_POPF,     ZYDIS_MNEMONIC_PUSHFQ,   ZYDIS_MNEMONIC_PUSHF,
    ZYDIS_MNEMONIC_RCPPS,    ZYDIS_MNEMONIC_RCPSS,    ZYDIS_MNEMONIC_RSQRTPS,
    ZYDIS_MNEMONIC_RSQRTSS,  ZYDIS_MNEMONIC_VRCPPS,   ZYDIS_MNEMONIC_VRCPSS,
    ZYDIS_MNEMONIC_VRSQRTPS, ZYDIS_MNEMONIC_VRSQRTSS, ZYDIS_MNEMONIC_RDTSC,
    ZYDIS_MNEMONIC_RDTSCP,   ZYDIS_MNEMONIC_XGETBV,   ZYDIS_MNEMONIC_XLAT,
    ZYDIS_MNEMONIC_CLFLUSH,  ZYDIS_MNEMONIC_IRETQ,    ZYDIS_MNEMONIC_IRETD,
    ZYDIS_MNEMONIC_LAR,      ZYDIS_MNEMONIC_LSL,      ZYDIS_MNEMONIC_PREFETCHW};

// What may be wrong with one instruction, whatever stands around it.
class Inspection {
 public:
  explicit Inspection(const Decoded& decoded) : d_(decoded) {}

  [[nodiscard]] std::string Run() const {
    const ZydisDecodedInstruction& i = d_.instruction;
    if (i.encoding != ZYDIS_INSTRUCTION_ENCODING_LEGACY &&
        i.encoding != ZYDIS_INSTRUCTION_ENCODING_VEX) {
      return "has another encoding than legacy and VEX";
    }
    if ((i.attributes & ZYDIS_ATTRIB_HAS_LOCK) != 0) return "has a LOCK prefix";
    if ((i.attributes & ZYDIS_ATTRIB_IS_PRIVILEGED) != 0 && d_.mnemonic() != ZYDIS_MNEMONIC_HLT) {
      return "is privileged";
    }
    if (std::ranges::find(kRefused, d_.mnemonic()) != kRefused.end()) return "is refused";
    if (!IsAllowedCategory(i.meta.category, d_.mnemonic())) return "is of a refused category";
    if (d_.mnemonic() == ZYDIS_MNEMONIC_NOP) return "";
    if (!IsKnownExtension(i.meta.isa_ext)) return "is of an extension outside the levels";
    if (i.meta.branch_type == ZYDIS_BRANCH_TYPE_FAR) return "is a far branch";
    for (const ZydisDecodedOperand& operand : d_.all()) {
      std::string wrong;
      if (operand.type == ZYDIS_OPERAND_TYPE_REGISTER) wrong = InspectRegister(operand);
      if (operand.type == ZYDIS_OPERAND_TYPE_MEMORY) wrong = InspectMemory(operand);
      if (operand.type == ZYDIS_OPERAND_TYPE_POINTER) wrong = "has a far pointer";
      if (!wrong.empty()) return wrong;
    }
    return "";
  }

 private:
  [[nodiscard]] std::string InspectRegister(const ZydisDecodedOperand& operand) const {
    const ZydisRegister name = operand.reg.value;
    switch (ZydisRegisterGetClass(name)) {
      case ZYDIS_REGCLASS_SEGMENT:
      case ZYDIS_REGCLASS_CONTROL:
      case ZYDIS_REGCLASS_DEBUG:
      case ZYDIS_REGCLASS_TEST:
      case ZYDIS_REGCLASS_TABLE:
      case ZYDIS_REGCLASS_MASK:
      case ZYDIS_REGCLASS_BOUND:
      case ZYDIS_REGCLASS_MMX:
      case ZYDIS_REGCLASS_ZMM:
        return "uses a system, mask, MMX or zmm register";
      default:
        break;
    }
    if ((operand.actions & ZYDIS_OPERAND_ACTION_MASK_WRITE) == 0) return "";
    if (name != ZYDIS_REGISTER_RSP && name != ZYDIS_REGISTER_SP && name != ZYDIS_REGISTER_SPL)
      return "";
    const bool is_implied = operand.visibility == ZYDIS_OPERAND_VISIBILITY_HIDDEN;
    const bool moves_stack =
        Contains({ZYDIS_MNEMONIC_PUSH, ZYDIS_MNEMONIC_POP, ZYDIS_MNEMONIC_CALL, ZYDIS_MNEMONIC_RET},
                 d_.mnemonic());
    return is_implied && moves_stack ? "" : "writes rsp";
  }

  [[nodiscard]] std::string InspectMemory(const ZydisDecodedOperand& operand) const {
    const ZydisDecodedOperandMem& memory = operand.mem;
    if (memory.type == ZYDIS_MEMOP_TYPE_AGEN) return "";
    if (memory.type == ZYDIS_MEMOP_TYPE_VSIB) return "gathers or scatters";
    if (memory.type != ZYDIS_MEMOP_TYPE_MEM) return "has a strange memory operand";
    if (memory.segment == ZYDIS_REGISTER_FS || memory.segment == ZYDIS_REGISTER_GS) {
      return "uses fs or gs";
    }
    if (operand.size > 64 * 8) return "accesses more than 64 bytes";
    if (d_.mnemonic() == ZYDIS_MNEMONIC_XCHG) return "exchanges with memory";
    if (Contains({ZYDIS_MNEMONIC_BT, ZYDIS_MNEMONIC_BTC, ZYDIS_MNEMONIC_BTR, ZYDIS_MNEMONIC_BTS},
                 d_.mnemonic()) &&
        d_.operands[1].type == ZYDIS_OPERAND_TYPE_REGISTER) {
      return "addresses by bit number";
    }
    const std::int64_t displacement = memory.disp.has_displacement ? memory.disp.value : 0;
    if (memory.base == ZYDIS_REGISTER_RIP) {
      const std::uint64_t target =
          d_.address + d_.instruction.length + static_cast<std::uint64_t>(displacement);
      return target >> 32 == 0 ? "" : "reaches above 4 GiB from rip";
    }
    if (d_.instruction.address_width == 32) return "";
    if (memory.base != ZYDIS_REGISTER_RSP || memory.index != ZYDIS_REGISTER_NONE) {
      return "has a 64-bit address";
    }
    return displacement >= -128 ? "" : "reaches below the red zone";
  }

  const Decoded& d_;
};

std::string Format(const Decoded& decoded, const std::string& wrong) {
  ZydisFormatter formatter;
  ZydisFormatterInit(&formatter, ZYDIS_FORMATTER_STYLE_ATT);
  std::array<char, 256> text{};
  ZydisFormatterFormatInstruction(&formatter, &decoded.instruction, decoded.operands.data(),
                                  decoded.instruction.operand_count_visible, text.data(),
                                  text.size(), decoded.address, nullptr);
  std::array<char, 400> line{};
  std::snprintf(line.data(), line.size(), "%#llx: `%s` %s",
                static_cast<unsigned long long>(decoded.address), text.data(), wrong.c_str());
  return line.data();
}

bool IsMaskOf(const Decoded& mask, ZydisRegister target) {
  if (mask.mnemonic() != ZYDIS_MNEMONIC_AND || mask.instruction.operand_width != 32) return false;
  const ZydisDecodedOperand& to = mask.operands[0];
  const ZydisDecodedOperand& value = mask.operands[1];
  return to.type == ZYDIS_OPERAND_TYPE_REGISTER && value.type == ZYDIS_OPERAND_TYPE_IMMEDIATE &&
         value.imm.value.s == -32 && target != ZYDIS_REGISTER_RSP &&
         ZydisRegisterGetLargestEnclosing(ZYDIS_MACHINE_MODE_LONG_64, to.reg.value) == target;
}

bool IsReturnMask(const Decoded& mask) {
  if (mask.mnemonic() != ZYDIS_MNEMONIC_AND || mask.instruction.operand_width != 64) return false;
  const ZydisDecodedOperand& to = mask.operands[0];
  const ZydisDecodedOperand& value = mask.operands[1];
  return to.type == ZYDIS_OPERAND_TYPE_MEMORY && to.mem.base == ZYDIS_REGISTER_RSP &&
         to.mem.index == ZYDIS_REGISTER_NONE && to.mem.disp.value == 0 &&
         value.type == ZYDIS_OPERAND_TYPE_IMMEDIATE && value.imm.value.s == 0x7fffffe0;
}

bool IsSameBundle(const Decoded& a, const Decoded& b) { return a.address / 32 == b.address / 32; }

class Region {
 public:
  Region(std::span<const std::byte> code, std::uint64_t base) : code_(code), base_(base) {
    ZydisDecoderInit(&decoder_, ZYDIS_MACHINE_MODE_LONG_64, ZYDIS_STACK_WIDTH_64);
  }

  std::string Run() {
    if (base_ % 32 != 0 || code_.size() % 32 != 0) return "the region is not whole bundles";
    std::optional<Decoded> previous;
    for (std::size_t at = 0; at < code_.size();) {
      Decoded decoded;
      decoded.address = base_ + at;
      if (!ZYAN_SUCCESS(ZydisDecoderDecodeFull(&decoder_, code_.data() + at, code_.size() - at,
                                               &decoded.instruction, decoded.operands.data()))) {
        return "an undecodable byte at " + std::to_string(at);
      }
      std::string wrong = Inspection(decoded).Run();
      if (wrong.empty()) wrong = InspectFlow(decoded, previous);
      if (!wrong.empty()) return Format(decoded, wrong);
      at += decoded.instruction.length;
      previous = decoded;
    }
    for (const std::uint64_t target : targets_) {
      if (!starts_.contains(target)) return "a branch goes to " + std::to_string(target);
    }
    return "";
  }

 private:
  std::string InspectFlow(const Decoded& decoded, const std::optional<Decoded>& previous) {
    const std::uint64_t last = decoded.address + decoded.instruction.length - 1;
    if (decoded.address / 32 != last / 32) return "crosses a bundle boundary";
    const bool has_previous = previous && IsSameBundle(*previous, decoded);
    bool is_start = true;
    if (decoded.mnemonic() == ZYDIS_MNEMONIC_RET) {
      if (!has_previous || !IsReturnMask(*previous)) return "is not masked";
      if (decoded.instruction.length != 1) return "is a long return";
      is_start = false;
    } else if (decoded.instruction.meta.branch_type != ZYDIS_BRANCH_TYPE_NONE) {
      const ZydisDecodedOperand& target = decoded.operands[0];
      if (target.type == ZYDIS_OPERAND_TYPE_IMMEDIATE) {
        if (decoded.instruction.raw.prefix_count != 0) return "is a branch with a prefix";
        targets_.push_back(decoded.address + decoded.instruction.length + target.imm.value.u);
      } else if (target.type == ZYDIS_OPERAND_TYPE_REGISTER) {
        if (!has_previous || !IsMaskOf(*previous, target.reg.value)) return "is not masked";
        is_start = false;
      } else {
        return "branches through memory";
      }
    }
    if (is_start) starts_.insert(decoded.address);
    return "";
  }

  std::span<const std::byte> code_;
  std::uint64_t base_;
  ZydisDecoder decoder_{};
  std::set<std::uint64_t> starts_;
  std::vector<std::uint64_t> targets_;
};

}  // namespace

std::string FindUnsafe(std::span<const std::byte> code, std::uint64_t base) {
  return Region(code, base).Run();
}

std::size_t DecodeLength(std::span<const std::byte> code) {
  ZydisDecoder decoder;
  ZydisDecoderInit(&decoder, ZYDIS_MACHINE_MODE_LONG_64, ZYDIS_STACK_WIDTH_64);
  ZydisDecodedInstruction instruction;
  const bool is_decoded = ZYAN_SUCCESS(
      ZydisDecoderDecodeInstruction(&decoder, nullptr, code.data(), code.size(), &instruction));
  return is_decoded ? instruction.length : 0;
}

}  // namespace zerocloud::proof
