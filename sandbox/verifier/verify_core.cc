#include "sandbox/verifier/verify_core.h"

#include "sandbox/verifier/decoder.h"
#include "sandbox/verifier/opcodes.h"
#include "sandbox/verifier/screen.h"

namespace zerocloud::verifier {

#ifdef ZEROCLOUD_WEAKENED_VERIFIER
// sandbox/proof's own build of this file, which is in no program: rules that are switched off, a
// bit each.
extern std::uint32_t weakened_rules;
#endif

namespace {

constexpr bool IsOn([[maybe_unused]] RuleId rule) {
#ifdef ZEROCLOUD_WEAKENED_VERIFIER
  return (weakened_rules >> static_cast<unsigned>(rule) & 1) == 0;
#else
  return true;
#endif
}

bool HasScreen() {
#ifdef ZEROCLOUD_WEAKENED_VERIFIER
  return weakened_rules >> 31 == 0;
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

// True if `role` writes any of rsp, sp and spl when its field names register 4. esp is fine:
// writing it clears the upper half, or leaves rsp as it was.
bool WritesStackPointer(const OpcodeRow& row, const Instruction& i, Role role) {
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
  const unsigned named = (i.full_reg() == kStackRegister ? 1u : 0u) |
                         (i.full_rm() == kStackRegister && !i.has_memory() ? 2u : 0u) |
                         (i.vvvv == kStackRegister ? 4u : 0u) |
                         (i.opcode_register() == kStackRegister ? 8u : 0u);
  const unsigned written = named & row.written;
  if (written == 0) [[likely]]
    return false;
  return ((written & 1) != 0 && WritesStackPointer(row, i, row.reg)) ||
         ((written & 2) != 0 && WritesStackPointer(row, i, row.rm)) ||
         ((written & 4) != 0 && WritesStackPointer(row, i, row.vvvv)) ||
         ((written & 8) != 0 && WritesStackPointer(row, i, row.opcode_register));
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
  const bool has_memory = i.has_memory();
  const bool names_register = row.rm != Role::kNo || row.opcode_register != Role::kNo;
  const bool uses_b = has_memory ? !i.is_rip_relative() : names_register;
  const unsigned used =
      (row.reg != Role::kNo ? 4u : 0u) | (i.has_sib() ? 2u : 0u) | (uses_b ? 1u : 0u);
  if ((i.rex & 7 & ~used) != 0) return true;
  if (i.rex == 0x40 && !UsesRexByteRegister(row, i)) return true;
  if (row.has_operand_size && i.has(kW) && i.has(kP66)) return true;
  return i.has(kP67) && !has_memory && row.action != Action::kString;
}

// A way through some bundles.
struct Walk {
  const unsigned char* bytes;  // the bundles, and readable ones behind them: kDecodeWindow
  std::size_t offset;          // of them in the code
  std::size_t size;            // whole bundles
  std::uint64_t address;       // of them for the guest
  std::uint32_t* scratch;      // the words of them
  std::size_t at = 0;

  [[nodiscard]] bool is_done() const { return at >= size; }
  [[nodiscard]] bool Fits(std::size_t length) const {
    return at % kBundleSize + length <= kBundleSize;
  }
  // As the start of an instruction that one may branch to, and of a direct branch.
  void Mark(bool is_branch) {
    std::uint32_t* const words = scratch + at / kBundleSize * 2;
    words[0] |= 1u << at % kBundleSize;
    words[1] |= (is_branch ? 1u : 0u) << at % kBundleSize;
  }
  void Advance(std::size_t length) { at += length; }
  void SkipBundle() { at = (at / kBundleSize + 1) * kBundleSize; }

  // True if the instruction before, in the same bundle, is these bytes. They are one instruction;
  // so if they begin at the last start that is marked, nothing that is not marked comes after them.
  [[nodiscard]] bool Follows(const unsigned char* expected, std::size_t length) const {
    const std::size_t in_bundle = at % kBundleSize;
    if (in_bundle < length || scratch[at / kBundleSize * 2] >> (in_bundle - length) != 1)
      return false;
    for (std::size_t k = 0; k < length; ++k) {
      if (bytes[at - length + k] != expected[k]) return false;
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

// True if the instruction accesses no memory but below 4 GiB whatever the registers hold, or next
// to rsp: nearly all of them. What is left is for CheckMemory.
bool IsPlainlyConfined(const OpcodeRow& row, const Instruction& i) {
  static_assert(kRedZone == 128, "one byte of displacement reaches as far");
  const bool is_near_stack = i.is_stack_relative() && i.mod() < 2;
  const bool is_free = i.has(kP67) || row.action == Action::kAddress || is_near_stack;
  return !i.has_memory() || (is_free && !i.is_rip_relative());
}

Finding CheckMemory(const OpcodeRow& row, const Instruction& i, std::uint64_t next_address) {
  if (i.is_rip_relative()) {
    if (!IsOn(RuleId::kRipTarget)) return {};
    if (i.has(kP67)) return RuleId::kRipTarget;
    if (row.action == Action::kAddress) return {};
    // Below zero wraps to a huge number.
    const std::uint64_t target =
        next_address + static_cast<std::uint64_t>(std::int64_t{i.displacement()});
    return target < kAddressLimit ? Finding() : RuleId::kRipTarget;
  }
  if (!i.is_stack_relative()) return IsOn(RuleId::kMemory) ? RuleId::kMemory : Finding();
  const bool reaches_too_far = i.displacement() < -kRedZone && IsOn(RuleId::kStackReach);
  return reaches_too_far ? RuleId::kStackReach : Finding();
}

enum class Kind : std::uint8_t { kPlain, kDirectBranch, kEndsPair };

struct Opinion {
  Finding finding;  // the first rule that the instruction breaks
  Kind kind = Kind::kPlain;
};

// Of `i`, which is of `row` and where `walk` is.
Opinion CheckListed(const Code& code, const Walk& walk, const Instruction& i,
                    const OpcodeRow& row) {
  const bool has_prefix = (i.rex | i.flags) != 0;
  if (row.action == Action::kBranch && has_prefix && IsOn(RuleId::kBranchPrefix)) {
    return {RuleId::kBranchPrefix};
  }
  if (IsOn(RuleId::kIsaLevel) && row.isa_level > code.isa_level) return {RuleId::kIsaLevel};
  if (IsOn(RuleId::kPrefix) && HasUselessPrefix(row, i)) return {RuleId::kPrefix};
  Opinion opinion;
  if (row.action == Action::kBranch) opinion.kind = Kind::kDirectBranch;
  if (row.action > Action::kBranch) [[unlikely]] {
    if (row.action == Action::kIndirect) {
      const bool is_masked = walk.FollowsMaskOf(i.full_rm());
      if (IsOn(RuleId::kIndirectBranch) && !is_masked) return {RuleId::kIndirectBranch};
      if (is_masked) opinion.kind = Kind::kEndsPair;
    } else if (row.action == Action::kReturn) {
      const bool is_masked = walk.FollowsReturnMask();
      if (IsOn(RuleId::kReturn) && !is_masked) return {RuleId::kReturn};
      if (is_masked) opinion.kind = Kind::kEndsPair;
    } else if (IsOn(RuleId::kString) && !i.has(kP67)) {
      return {RuleId::kString};
    }
  }
  if (!IsPlainlyConfined(row, i)) {
    opinion.finding = CheckMemory(row, i, walk.address + walk.at + i.length);
    if (opinion.finding) return opinion;
  }
  if (IsOn(RuleId::kStackPointer) && WritesStackPointer(row, i)) {
    opinion.finding = RuleId::kStackPointer;
  }
  return opinion;
}

// Of `i`, which has no row or an irregular prefix.
Finding CheckIrregular(const Instruction& i, const OpcodeRow* row) {
  if (IsLongNop(i)) return {};
  if (i.space == Space::kOther) return IsOn(RuleId::kEncoding) ? RuleId::kEncoding : Finding();
  if (IsOn(RuleId::kLock) && (i.has(kLock) || IsExchangeWithMemory(i))) return RuleId::kLock;
  if (IsOn(RuleId::kBranchPrefix) && IsDirectBranch(i)) return RuleId::kBranchPrefix;
  if (IsOn(RuleId::kSegment) && i.has(kSegment)) return RuleId::kSegment;
  if (IsOn(RuleId::kPrefix) && i.has(kRepeated | kMisplacedRex)) return RuleId::kPrefix;
  if (row != nullptr) return {};
  if (i.space >= Space::kV0F && i.has(kVvvv) && IsOn(RuleId::kUndecodable)) {
    // A third register that an instruction of two does not have makes it none.
    Instruction without = i;
    without.flags &= static_cast<std::uint16_t>(~kVvvv);
    if (FindOpcode(without) != nullptr) return RuleId::kUndecodable;
  }
  return IsOn(RuleId::kOpcode) ? RuleId::kOpcode : Finding();
}

Opinion Check(const Code& code, const Walk& walk, const Instruction& i) {
  constexpr unsigned kIrregular = kLock | kSegment | kRepeated | kMisplacedRex;
  const OpcodeRow* const row = FindOpcode(i);
  const bool is_regular = !i.has(kIrregular) && row != nullptr;
  if (!is_regular) {
    const Finding finding = CheckIrregular(i, row);
    if (finding || row == nullptr) return {finding};
  }
  return CheckListed(code, walk, i, *row);
}

// The instruction where `walk` is, of which the screen knows nothing. Goes on behind it, or at the
// next bundle, unless it breaks a rule and `sink` is null: then it returns false and stays. False
// also if the sink wants no more.
[[gnu::noinline]] bool Step(const Code& code, Walk& walk, const Sink* sink) {
  const unsigned nop_length = HasScreen() ? ScreenNop(walk.bytes + walk.at) : 0;
  if (nop_length != 0 && walk.Fits(nop_length)) {
    walk.Mark(false);
    walk.Advance(nop_length);
    return true;
  }
  const auto report = [&](RuleId rule) {
    const auto offset = static_cast<std::uint32_t>(walk.offset + walk.at);
    return sink != nullptr && sink->add(sink->context, {rule, offset});
  };
  Instruction i;
  Finding finding;
  Kind kind = Kind::kPlain;
  const bool is_decoded = Decode(walk.bytes + walk.at, i);
  if (!is_decoded) {
    if (IsOn(RuleId::kUndecodable)) finding = RuleId::kUndecodable;
  } else if (!walk.Fits(i.length) && IsOn(RuleId::kStraddle)) {
    finding = RuleId::kStraddle;
  } else {
    const Opinion opinion = Check(code, walk, i);
    finding = opinion.finding;
    kind = opinion.kind;
  }
  if (finding && !report(finding.rule())) return false;
  if (!is_decoded || (finding && (finding.rule() == RuleId::kUndecodable ||
                                  finding.rule() == RuleId::kStraddle))) {
    walk.SkipBundle();
    return true;
  }
  if (kind != Kind::kEndsPair) walk.Mark(kind == Kind::kDirectBranch);
  walk.Advance(i.length);
  return true;
}

// One instruction of which the screen has said that it is `length` long; 0 if it does not know.
bool Step(const Code& code, Walk& walk, const Sink* sink, unsigned length, bool is_branch) {
  if (length == 0 || !walk.Fits(length)) [[unlikely]] {
    return Step(code, walk, sink);
  }
  walk.Mark(is_branch);
  walk.Advance(length);
  return true;
}

bool Finish(const Code& code, Walk& walk, const Sink& sink) {
  while (!walk.is_done()) {
    bool is_branch = false;
    const unsigned length = HasScreen() ? Screen(walk.bytes + walk.at, is_branch) : 0;
    if (!Step(code, walk, &sink, length, is_branch)) return false;
  }
  return true;
}

// As long as nothing is wrong, all walks at once: where an instruction ends, the processor learns
// late, and has the other walks to go on with meanwhile. Then one after the other, so that
// violations are reported in order.
constexpr std::size_t kWalks = 3;
bool Finish(const Code& code, Walk (&walks)[kWalks], const Sink& sink) {
  const auto is_any_done = [&] {
    for (const Walk& walk : walks) {
      if (walk.is_done()) return true;
    }
    return false;
  };
  for (bool is_fine = HasScreen(); is_fine && !is_any_done();) {
    unsigned lengths[kWalks];
    bool are_branches[kWalks];
    for (std::size_t k = 0; k < kWalks; ++k)
      lengths[k] = Screen(walks[k].bytes + walks[k].at, are_branches[k]);
    for (std::size_t k = 0; k < kWalks && is_fine; ++k)
      is_fine = Step(code, walks[k], nullptr, lengths[k], are_branches[k]);
  }
  for (Walk& walk : walks) {
    if (!Finish(code, walk, sink)) return false;
  }
  return true;
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
  for (std::size_t k = 2 * first; k < 2 * end; ++k) scratch[k] = 0;
  const auto walk = [&](const unsigned char* bytes, std::size_t from, std::size_t to) {
    const std::size_t offset = from * kBundleSize;
    return Walk{.bytes = bytes,
                .offset = offset,
                .size = (to - from) * kBundleSize,
                .address = code.base + offset,
                .scratch = scratch + 2 * from};
  };
  // The decoder may look one bundle ahead. Behind the end of the code it sees zeros.
  const std::size_t whole = code.size / kBundleSize;
  const std::size_t near_end = end == whole && end > first ? end - 1 : end;
  Walk walks[kWalks];
  for (std::size_t k = 0; k < kWalks; ++k) {
    const std::size_t from = first + (near_end - first) * k / kWalks;
    const std::size_t to = first + (near_end - first) * (k + 1) / kWalks;
    walks[k] = walk(code.bytes + from * kBundleSize, from, to);
  }
  if (!Finish(code, walks, sink) || near_end == end) return;

  unsigned char last[2 * kBundleSize];
  const unsigned char* const bytes = code.bytes + near_end * kBundleSize;
  const std::size_t left = code.size - near_end * kBundleSize;
  for (std::size_t k = 0; k < sizeof last; ++k) last[k] = k < left ? bytes[k] : 0;
  Walk rest = walk(last, near_end, end);
  Finish(code, rest, sink);
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
