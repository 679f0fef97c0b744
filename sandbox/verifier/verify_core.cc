#include "sandbox/verifier/verify_core.h"

#include "sandbox/verifier/decoder.h"
#include "sandbox/verifier/opcodes.h"

namespace zerocloud::verifier {

#ifdef ZEROCLOUD_WEAKENED_VERIFIER
// sandbox/proof's own build of this file, which is in no program: rules that are switched off, a
// bit each.
extern std::uint32_t weakened_rules;
#endif

namespace {

constexpr unsigned kStackRegister = 4;  // rsp, esp, sp, spl

constexpr bool IsOn([[maybe_unused]] RuleId rule) {
#ifdef ZEROCLOUD_WEAKENED_VERIFIER
  return (weakened_rules >> static_cast<unsigned>(rule) & 1) == 0;
#else
  return true;
#endif
}

// What a check found: a rule that is broken, or nothing.
class Finding {
 public:
  constexpr Finding() = default;
  constexpr Finding(RuleId rule) : value_(static_cast<int>(rule)) {}  // NOLINT: meant to convert
  constexpr explicit operator bool() const { return value_ >= 0; }
  [[nodiscard]] constexpr RuleId rule() const { return static_cast<RuleId>(value_); }

 private:
  int value_ = -1;
};

bool IsDirectBranch(const Instruction& i) {
  if (i.space == Space::k0F) return (i.opcode & 0xF0) == 0x80;
  return i.space == Space::kOne &&
         ((i.opcode & 0xF0) == 0x70 || i.opcode == 0xE8 || i.opcode == 0xE9 || i.opcode == 0xEB);
}

// 0F 1F /0 with memory, behind any number of 66 and at most one 2E: how assemblers fill gaps. It
// accesses nothing and is of the map's opcode, so its operand is free.
bool IsLongNop(const Instruction& i) {
  if (i.space != Space::k0F || i.opcode != 0x1F || !i.has_memory() || i.reg() != 0) return false;
  return i.rex == 0 && !i.has(kPF3 | kPF2 | kP67 | kLock | kNotOneCs);
}

bool IsExchangeWithMemory(const Instruction& i) {
  return i.space == Space::kOne && (i.opcode == 0x86 || i.opcode == 0x87) && i.has_memory();
}

// True if `role` writes any of rsp, sp and spl when its field names register `number`. esp is fine:
// writing it clears the upper half, or leaves rsp as it was.
bool WritesStackPointer(const OpcodeRow& row, const Instruction& i, Role role, unsigned number) {
  if (number != kStackRegister) return false;
  switch (role) {
    case Role::kWrite:
      return i.has(kW) || (row.has_operand_size && i.has(kP66));
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
         (!i.has_memory() && WritesStackPointer(row, i, row.rm, i.full_rm())) ||
         WritesStackPointer(row, i, row.vvvv, i.vvvv) ||
         WritesStackPointer(row, i, row.opcode_register, i.opcode_register());
}

// REX without any bit selects spl, bpl, sil and dil, and is useful for nothing else.
bool UsesRexByteRegister(const OpcodeRow& row, const Instruction& i) {
  const auto is_one = [](Role role, unsigned number) {
    return (role == Role::kReadB || role == Role::kWriteB) && 4 <= number && number < 8;
  };
  return is_one(row.reg, i.full_reg()) || (!i.has_memory() && is_one(row.rm, i.full_rm())) ||
         is_one(row.opcode_register, i.opcode_register());
}

bool HasUselessPrefix(const OpcodeRow& row, const Instruction& i) {
  if (i.rex == 0x40 && !UsesRexByteRegister(row, i)) return true;
  if (i.has(kW) && row.has_operand_size && i.has(kP66)) return true;
  if ((i.rex & 4) != 0 && row.reg == Role::kNo) return true;
  if ((i.rex & 2) != 0 && !i.has_sib()) return true;
  const bool uses_b = i.has_memory() ? !i.is_rip_relative()
                                     : row.rm != Role::kNo || row.opcode_register != Role::kNo;
  if ((i.rex & 1) != 0 && !uses_b) return true;
  return i.has(kP67) && !i.has_memory() && row.action != Action::kString;
}

// The bundle that is being verified, and the instruction that stands before the one at hand in it.
struct Bundle {
  const unsigned char* bytes;  // of it and, readable, those of another one
  std::uint64_t address;       // as the guest sees it
  unsigned previous = 0;
  unsigned previous_length = 0;  // 0: there is none

  [[nodiscard]] bool Follows(const unsigned char* expected, unsigned length) const {
    if (previous_length != length) return false;
    for (unsigned k = 0; k < length; ++k) {
      if (bytes[previous + k] != expected[k]) return false;
    }
    return true;
  }
  // and $-32, %r32
  [[nodiscard]] bool FollowsMaskOf(unsigned number) const {
    if (number == kStackRegister) return false;
    const unsigned char mask[] = {0x41, 0x83, static_cast<unsigned char>(0xE0 | (number & 7)),
                                  0xE0};
    return number >= 8 ? Follows(mask, 4) : Follows(mask + 1, 3);
  }
  // andq $0x7fffffe0, (%rsp)
  [[nodiscard]] bool FollowsReturnMask() const {
    constexpr unsigned char kMask[] = {0x48, 0x81, 0x24, 0x24, 0xE0, 0xFF, 0xFF, 0x7F};
    return Follows(kMask, sizeof kMask);
  }
};

Finding CheckMemory(const OpcodeRow& row, const Instruction& i, std::uint64_t next_address) {
  if (i.is_rip_relative()) {
    if (!IsOn(RuleId::kRipTarget)) return {};
    if (i.has(kP67)) return RuleId::kRipTarget;
    if (row.action == Action::kAddress) return {};
    // Below zero wraps to a huge number.
    const std::uint64_t target =
        next_address + static_cast<std::uint64_t>(std::int64_t{i.displacement});
    return target < kAddressLimit ? Finding() : RuleId::kRipTarget;
  }
  if (i.has(kP67) || row.action == Action::kAddress) return {};
  if (!i.is_stack_relative()) return IsOn(RuleId::kMemory) ? RuleId::kMemory : Finding();
  const bool reaches_too_far = i.displacement < -kRedZone && IsOn(RuleId::kStackReach);
  return reaches_too_far ? RuleId::kStackReach : Finding();
}

// Why an instruction that is no long NOP and has no row in the opcode table is wrong.
Finding CheckUnlisted(const Instruction& i) {
  if (i.space >= Space::kV0F && i.has(kVvvv) && IsOn(RuleId::kUndecodable)) {
    // A third register that an instruction of two does not have makes it none.
    Instruction without = i;
    without.flags &= static_cast<std::uint16_t>(~kVvvv);
    if (FindOpcode(without) != nullptr) return RuleId::kUndecodable;
  }
  return IsOn(RuleId::kOpcode) ? RuleId::kOpcode : Finding();
}

// The first rule that `i`, at `at` in `bundle`, breaks. Sets `ends_pair` if it is the second of a
// masked pair.
Finding Check(const Code& code, const Bundle& bundle, unsigned at, const Instruction& i,
              bool& ends_pair) {
  if (i.space == Space::kOther) return IsOn(RuleId::kEncoding) ? RuleId::kEncoding : Finding();
  if (IsOn(RuleId::kLock) && (i.has(kLock) || IsExchangeWithMemory(i))) return RuleId::kLock;
  if (IsLongNop(i)) return {};
  if (IsOn(RuleId::kBranchPrefix) && IsDirectBranch(i) &&
      (i.rex != 0 || i.has(kP66 | kPF3 | kPF2 | kP67 | kLock | kSegment))) {
    return RuleId::kBranchPrefix;
  }
  if (IsOn(RuleId::kSegment) && i.has(kSegment)) return RuleId::kSegment;
  if (IsOn(RuleId::kPrefix) && i.has(kRepeated | kMisplacedRex)) return RuleId::kPrefix;
  const OpcodeRow* row = FindOpcode(i);
  if (row == nullptr) return CheckUnlisted(i);
  if (IsOn(RuleId::kIsaLevel) && row->isa_level > code.isa_level) return RuleId::kIsaLevel;
  if (IsOn(RuleId::kPrefix) && HasUselessPrefix(*row, i)) return RuleId::kPrefix;
  if (row->action == Action::kIndirect) {
    ends_pair = bundle.FollowsMaskOf(i.full_rm());
    if (IsOn(RuleId::kIndirectBranch) && !ends_pair) return RuleId::kIndirectBranch;
  }
  if (row->action == Action::kReturn) {
    ends_pair = bundle.FollowsReturnMask();
    if (IsOn(RuleId::kReturn) && !ends_pair) return RuleId::kReturn;
  }
  if (IsOn(RuleId::kString) && row->action == Action::kString && !i.has(kP67)) {
    return RuleId::kString;
  }
  if (i.has_memory()) {
    if (const Finding finding = CheckMemory(*row, i, bundle.address + at + i.length))
      return finding;
  }
  if (IsOn(RuleId::kStackPointer) && WritesStackPointer(*row, i)) return RuleId::kStackPointer;
  return {};
}

// Whether the opcode itself is that of a direct branch, for which IsDirectBranch then holds too.
bool StartsDirectBranch(const unsigned char* bytes) {
  const unsigned byte = bytes[0];
  if (byte == 0x0F) return (bytes[1] & 0xF0) == 0x80;
  return (byte & 0xF0) == 0x70 || byte == 0xE8 || byte == 0xE9 || byte == 0xEB;
}

// Verifies one bundle; `scratch` gets its two words. False if the sink wants no more.
bool CheckBundle(const Code& code, Bundle bundle, std::size_t offset, std::uint32_t* scratch,
                 const Sink& sink) {
  std::uint32_t starts = 0, branches = 0;
  bool goes_on = true;
  const auto add = [&](RuleId rule, unsigned at) {
    goes_on = sink.add(sink.context, {rule, static_cast<std::uint32_t>(offset + at)});
  };
  for (unsigned at = 0; at < kBundleSize && goes_on;) {
    Instruction i;
    if (!Decode(bundle.bytes + at, i)) {
      if (IsOn(RuleId::kUndecodable)) add(RuleId::kUndecodable, at);
      break;
    }
    if (at + i.length > kBundleSize && IsOn(RuleId::kStraddle)) {
      add(RuleId::kStraddle, at);
      break;
    }
    bool ends_pair = false;
    const Finding finding = Check(code, bundle, at, i, ends_pair);
    if (finding) {
      add(finding.rule(), at);
      if (finding.rule() == RuleId::kUndecodable) break;
    } else if (StartsDirectBranch(bundle.bytes + at)) {
      branches |= 1u << at;
    }
    if (!ends_pair) starts |= 1u << at;
    bundle.previous = at;
    bundle.previous_length = i.length;
    at += i.length;
  }
  scratch[0] = starts;
  scratch[1] = branches;
  return goes_on;
}

// Where the direct branch at `offset`, which has been verified and so has no prefix, goes to.
std::uint64_t BranchTarget(const Code& code, std::size_t offset) {
  const unsigned char* const bytes = code.bytes + offset;
  if (bytes[0] != 0x0F && bytes[0] != 0xE8 && bytes[0] != 0xE9) {
    const auto distance = static_cast<std::int8_t>(bytes[1]);
    return offset + 2 + static_cast<std::uint64_t>(std::int64_t{distance});
  }
  const std::size_t at = bytes[0] == 0x0F ? 2 : 1;
  const auto distance = static_cast<std::int32_t>(Read32(bytes + at));
  return offset + at + 4 + static_cast<std::uint64_t>(std::int64_t{distance});
}

}  // namespace

bool CheckRegion(const Code& code, const Sink& sink) {
  if (code.base > kCodeLimit || code.size > kCodeLimit - code.base) {
    sink.add(sink.context, {RuleId::kRegion, 0});
    return false;
  }
  if (!IsOn(RuleId::kRegion)) return true;
  const std::size_t whole = code.size / kBundleSize * kBundleSize;
  if (code.base % kBundleSize != 0 && !sink.add(sink.context, {RuleId::kRegion, 0})) return true;
  if (code.size != whole) {
    sink.add(sink.context, {RuleId::kRegion, static_cast<std::uint32_t>(whole)});
  }
  return true;
}

void CheckBundles(const Code& code, std::size_t first, std::size_t end, std::uint32_t* scratch,
                  const Sink& sink) {
  static_assert(kDecodeWindow <= kBundleSize);
  for (std::size_t k = first; k < end; ++k) {
    const std::size_t offset = k * kBundleSize;
    // The decoder may look into the next bundle. Behind the end of the code it sees zeros.
    unsigned char last[2 * kBundleSize];
    const unsigned char* bytes = code.bytes + offset;
    const std::size_t left = code.size - offset;
    if (left < sizeof last) {
      for (std::size_t b = 0; b < sizeof last; ++b) last[b] = b < left ? bytes[b] : 0;
      bytes = last;
    }
    if (!CheckBundle(code, {.bytes = bytes, .address = code.base + offset}, offset, scratch + 2 * k,
                     sink)) {
      return;
    }
  }
}

void CheckBranches(const Code& code, std::size_t first, std::size_t end,
                   const std::uint32_t* scratch, const Sink& sink) {
  const std::size_t bundles = code.size / kBundleSize;
  if (!IsOn(RuleId::kBranchTarget)) return;
  for (std::size_t k = first; k < end; ++k) {
    for (std::uint32_t left = scratch[2 * k + 1]; left != 0; left &= left - 1) {
      const std::size_t offset = k * kBundleSize + static_cast<unsigned>(__builtin_ctz(left));
      const std::uint64_t target = BranchTarget(code, offset);
      const std::uint64_t bundle = target / kBundleSize;
      if (bundle < bundles && (scratch[2 * bundle] >> (target % kBundleSize) & 1) != 0) continue;
      const Violation violation = {RuleId::kBranchTarget, static_cast<std::uint32_t>(offset)};
      if (!sink.add(sink.context, violation)) return;
    }
  }
}

bool IsAcceptable(const Code& code, std::uint32_t* scratch, Violation& first) {
  struct First {
    Violation violation{};
    bool is_set = false;
  } found;
  const Sink sink = {
      [](void* context, Violation violation) {
        auto& first = *static_cast<First*>(context);
        if (!first.is_set || violation.offset < first.violation.offset ||
            (violation.offset == first.violation.offset && violation.rule < first.violation.rule)) {
          first = {violation, true};
        }
        return true;
      },
      &found};
  if (CheckRegion(code, sink)) {
    const std::size_t bundles = code.size / kBundleSize;
    CheckBundles(code, 0, bundles, scratch, sink);
    CheckBranches(code, 0, bundles, scratch, sink);
  }
  first = found.violation;
  return !found.is_set;
}

}  // namespace zerocloud::verifier
