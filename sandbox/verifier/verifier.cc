#include "sandbox/verifier/verifier.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>
#include <optional>

#include "sandbox/verifier/decoder.h"
#include "sandbox/verifier/opcodes.h"

namespace zerocloud::verifier {
namespace {

constexpr std::uint8_t kStackRegister = 4;  // rsp, esp, sp, spl

// andq $0x7fffffe0, (%rsp)
constexpr std::array<std::uint8_t, 8> kReturnMask = {0x48, 0x81, 0x24, 0x24,
                                                     0xe0, 0xff, 0xff, 0x7f};

bool IsDirectBranch(const Instruction& i) {
  if (i.encoding != Encoding::kLegacy) return false;
  if (i.map == Map::k0F) return (i.opcode & 0xF0) == 0x80;
  return i.map == Map::kOneByte &&
         ((i.opcode & 0xF0) == 0x70 || i.opcode == 0xE8 || i.opcode == 0xE9 || i.opcode == 0xEB);
}

// 0F 1F /0 with memory, behind any number of 66 and at most one 2E: how assemblers fill gaps. It
// accesses nothing and is of the map's opcode, so its operand is free.
bool IsLongNop(const Instruction& i) {
  return i.encoding == Encoding::kLegacy && i.map == Map::k0F && i.opcode == 0x1F &&
         i.has_memory() && i.reg == 0 && i.rex == 0 &&
         i.prefix_count == i.operand_size_count + (i.has_segment ? 1 : 0) &&
         (!i.has_segment || i.has_only_cs) && i.header_length == i.length;
}

bool IsExchangeWithMemory(const Instruction& i) {
  return i.encoding == Encoding::kLegacy && i.map == Map::kOneByte &&
         (i.opcode == 0x86 || i.opcode == 0x87) && i.has_memory();
}

// True if `role` writes any of rsp, sp and spl when its field names register `number`. esp is fine:
// writing it clears the upper half, or leaves rsp as it was.
bool WritesStackPointer(const OpcodeRow& row, const Instruction& i, Role role,
                        std::uint8_t number) {
  if (number != kStackRegister) return false;
  switch (role) {
    case Role::kWrite:
      return i.w || (HasOperandSize(row) && i.has_operand_size);
    case Role::kWriteB:
      return i.rex != 0;  // without REX it is ah
    case Role::kWriteQ:
      return true;
    case Role::kNo:
    case Role::kRead:
    case Role::kReadB:
    case Role::kVec:
      return false;
  }
  return true;
}

bool WritesStackPointer(const OpcodeRow& row, const Instruction& i) {
  return WritesStackPointer(row, i, row.reg, i.full_reg()) ||
         (i.has_modrm && !i.has_memory() && WritesStackPointer(row, i, row.rm, i.full_rm())) ||
         WritesStackPointer(row, i, row.vvvv, i.vex_vvvv) ||
         WritesStackPointer(row, i, row.opcode_register, i.opcode_register());
}

bool IsByteRole(Role role) { return role == Role::kReadB || role == Role::kWriteB; }

// REX without any bit selects spl, bpl, sil and dil, and is useful for nothing else.
bool UsesRexByteRegister(const OpcodeRow& row, const Instruction& i) {
  const auto is_one = [](Role role, std::uint8_t number) {
    return IsByteRole(role) && 4 <= number && number < 8;
  };
  return is_one(row.reg, i.full_reg()) || (!i.has_memory() && is_one(row.rm, i.full_rm())) ||
         is_one(row.opcode_register, i.opcode_register());
}

bool HasUselessPrefix(const OpcodeRow& row, const Instruction& i) {
  if (i.rex == 0x40 && !UsesRexByteRegister(row, i)) return true;
  if (i.w && HasOperandSize(row) && i.has_operand_size) return true;
  if (i.r && row.reg == Role::kNo) return true;
  if (i.x && !i.has_sib) return true;
  const bool uses_b = i.has_memory() ? !i.is_rip_relative()
                                     : row.rm != Role::kNo || row.opcode_register != Role::kNo;
  if (i.b && !uses_b) return true;
  return i.has_address_size && !i.has_memory() && row.action != Action::kString;
}

// The instruction before one, if it is in the same bundle.
using Previous = std::optional<std::span<const std::byte>>;

bool Equals(const Previous& previous, std::span<const std::uint8_t> bytes) {
  return previous && std::ranges::equal(*previous, bytes, [](std::byte a, std::uint8_t b) {
           return std::to_integer<std::uint8_t>(a) == b;
         });
}

bool IsMasked(const Previous& previous, std::uint8_t number) {
  if (number == kStackRegister) return false;
  const std::array<std::uint8_t, 4> mask = {
      // and $-32, %r32
      0x41, 0x83, static_cast<std::uint8_t>(0xE0 | (number & 7)), 0xE0};
  return Equals(previous, std::span(mask).subspan(number >= 8 ? 0 : 1));
}

using Finding = std::optional<RuleId>;

class Verification {
 public:
  Verification(std::span<const std::byte> code, std::uint64_t base, const Options& options)
      : code_(code),
        base_(base),
        isa_level_(options.isa_level),
        // A verdict without room for one violation would accept everything.
        max_violations_(std::max<std::size_t>(options.max_violations, 1)) {}

  Verdict Run() {
    if (base_ > kCodeLimit || code_.size() > kCodeLimit - base_) {
      Add(RuleId::kRegion, 0);
      return std::move(verdict_);
    }
    if (base_ % kBundleSize != 0) Add(RuleId::kRegion, 0);
    const std::size_t bundles = code_.size() / kBundleSize;
    starts_.resize(bundles);
    branches_.resize(bundles);
    for (std::size_t bundle = 0; bundle < bundles; ++bundle) VerifyBundle(bundle);
    if (code_.size() % kBundleSize != 0) Add(RuleId::kRegion, bundles * kBundleSize);
    VerifyBranches();
    return std::move(verdict_);
  }

 private:
  void Add(RuleId rule, std::size_t offset) {
    if (verdict_.violations.size() == max_violations_) return;
    verdict_.violations.push_back({rule, static_cast<std::uint32_t>(offset)});
  }

  // The bytes from `offset` on that one instruction can have; zeros beyond the end of the code.
  std::span<const std::byte> Window(std::size_t offset) {
    const std::size_t left = code_.size() - offset;
    if (left >= kMaxInstructionLength) return code_.subspan(offset, kMaxInstructionLength);
    window_ = {};
    std::memcpy(window_.data(), code_.data() + offset, left);
    return window_;
  }

  void VerifyBundle(std::size_t bundle) {
    const std::size_t start = bundle * kBundleSize;
    Previous previous;
    for (std::size_t at = 0; at < kBundleSize;) {
      const std::size_t offset = start + at;
      Instruction instruction;
      if (!Decode(Window(offset), instruction)) return Add(RuleId::kUndecodable, offset);
      if (at + instruction.length > kBundleSize) return Add(RuleId::kStraddle, offset);
      bool ends_pair = false;
      const Finding finding = Check(instruction, offset, previous, ends_pair);
      if (finding == RuleId::kUndecodable) return Add(*finding, offset);
      if (finding) Add(*finding, offset);
      if (!ends_pair) starts_[bundle] |= 1u << at;
      if (!finding && IsDirectBranch(instruction)) branches_[bundle] |= 1u << at;
      previous = code_.subspan(offset, instruction.length);
      at += instruction.length;
    }
  }

  // The first rule that the instruction at `offset` breaks. Sets `ends_pair` if it is the second of
  // a masked pair.
  [[nodiscard]] Finding Check(const Instruction& i, std::size_t offset, const Previous& previous,
                              bool& ends_pair) const {
    if (i.encoding == Encoding::kOther) return RuleId::kEncoding;
    if (i.has_lock || IsExchangeWithMemory(i)) return RuleId::kLock;
    if (IsLongNop(i)) return std::nullopt;
    if (IsDirectBranch(i) && (i.prefix_count != 0 || i.rex != 0)) return RuleId::kBranchPrefix;
    if (i.has_segment) return RuleId::kSegment;
    if (i.has_repeated_prefix || i.has_misplaced_rex) return RuleId::kPrefix;
    const OpcodeRow* row = FindOpcode(i);
    if (row == nullptr) return RuleId::kOpcode;
    if (i.header_length + ImmediateSize(*row, i) != i.length) return RuleId::kUndecodable;
    if (row->isa_level > isa_level_) return RuleId::kIsaLevel;
    if (HasUselessPrefix(*row, i)) return RuleId::kPrefix;
    if (row->action == Action::kIndirect) {
      ends_pair = IsMasked(previous, i.full_rm());
      if (!ends_pair) return RuleId::kIndirectBranch;
    }
    if (row->action == Action::kReturn) {
      ends_pair = Equals(previous, kReturnMask);
      if (!ends_pair) return RuleId::kReturn;
    }
    if (row->action == Action::kString && !i.has_address_size) return RuleId::kString;
    if (i.has_memory()) {
      if (const Finding finding = CheckMemory(*row, i, offset)) return finding;
    }
    if (WritesStackPointer(*row, i)) return RuleId::kStackPointer;
    return std::nullopt;
  }

  [[nodiscard]] Finding CheckMemory(const OpcodeRow& row, const Instruction& i,
                                    std::size_t offset) const {
    if (i.is_rip_relative()) {
      if (i.has_address_size) return RuleId::kRipTarget;
      if (row.action == Action::kAddress) return std::nullopt;
      // Below zero wraps to a huge number.
      const std::uint64_t target =
          base_ + offset + i.length + static_cast<std::uint64_t>(std::int64_t{i.displacement});
      return target < kAddressLimit ? Finding() : RuleId::kRipTarget;
    }
    if (i.has_address_size || row.action == Action::kAddress) return std::nullopt;
    const bool is_stack_relative =
        i.has_sib && i.sib_base == kStackRegister && !i.b && i.sib_index == kStackRegister && !i.x;
    if (!is_stack_relative) return RuleId::kMemory;
    return i.displacement >= -kRedZone ? Finding() : RuleId::kStackReach;
  }

  // Where the direct branch at `offset`, which has been verified and so has no prefix, goes to.
  [[nodiscard]] std::uint64_t BranchTarget(std::size_t offset) const {
    const auto byte = [this](std::size_t at) { return std::to_integer<std::uint8_t>(code_[at]); };
    const std::uint8_t opcode = byte(offset);
    if ((opcode & 0xF0) == 0x70 || opcode == 0xEB) {
      const auto distance = static_cast<std::int8_t>(byte(offset + 1));
      return offset + 2 + static_cast<std::uint64_t>(std::int64_t{distance});
    }
    const std::size_t at = offset + (opcode == 0x0F ? 2 : 1);
    std::uint32_t distance = 0;
    for (std::size_t k = 0; k < 4; ++k) distance |= std::uint32_t{byte(at + k)} << (8 * k);
    return at + 4 + static_cast<std::uint64_t>(std::int64_t{static_cast<std::int32_t>(distance)});
  }

  [[nodiscard]] bool IsTarget(std::uint64_t offset) const {
    return offset / kBundleSize < starts_.size() &&
           (starts_[offset / kBundleSize] >> (offset % kBundleSize) & 1) != 0;
  }

  // Second pass, when all starts are known. Each pass finds violations in order of offset and keeps
  // the first ones, so the first ones of both together are the first of all.
  void VerifyBranches() {
    std::vector<Violation> found;
    for (std::size_t bundle = 0; bundle < branches_.size(); ++bundle) {
      for (std::uint32_t left = branches_[bundle]; left != 0; left &= left - 1) {
        const std::size_t offset =
            bundle * kBundleSize + static_cast<unsigned>(std::countr_zero(left));
        if (IsTarget(BranchTarget(offset))) continue;
        if (found.size() == max_violations_) break;
        found.push_back({RuleId::kBranchTarget, static_cast<std::uint32_t>(offset)});
      }
    }
    std::vector<Violation>& all = verdict_.violations;
    all.insert(all.end(), found.begin(), found.end());
    std::ranges::sort(all, [](const Violation& a, const Violation& b) {
      return a.offset != b.offset ? a.offset < b.offset : a.rule < b.rule;
    });
    if (all.size() > max_violations_) all.resize(max_violations_);
  }

  std::span<const std::byte> code_;
  std::uint64_t base_;
  unsigned isa_level_;
  std::size_t max_violations_;
  std::array<std::byte, kMaxInstructionLength> window_{};
  // Per bundle, a bit per byte: starts of instructions that a direct branch may go to, and starts
  // of direct branches.
  std::vector<std::uint32_t> starts_, branches_;
  Verdict verdict_;
};

}  // namespace

Verdict Verify(std::span<const std::byte> code, std::uint64_t base, const Options& options) {
  return Verification(code, base, options).Run();
}

}  // namespace zerocloud::verifier
