// The verifier's core: machine code in, violations out. Trusted, and freestanding: no heap, no C
// library beyond memcpy and memset, no exceptions, no table that needs a relocation. The loader
// uses it through verifier.h; the session launcher uses it as it stands, for the jail call.
//
//   static std::uint32_t scratch[ScratchWords(kMaxSize)];
//   Violation first;
//   if (!IsAcceptable({bytes, size, address, isa_level}, scratch, first)) ... first.rule,
//   first.offset
//
// The code must not change while it is verified: verify a copy that nobody else can write, and run
// that copy. Pure; thread-safe on different scratch memory. Never reads outside the code.
#pragma once

#include <cstddef>
#include <cstdint>

namespace zerocloud::verifier {

inline constexpr std::uint64_t kBundleSize = 32;
// Code ends at or below this: a masked return can reach no higher.
inline constexpr std::uint64_t kCodeLimit = 0x80000000;
// Memory operands stay below this.
inline constexpr std::uint64_t kAddressLimit = 0x100000000;
// Bytes below rsp that an operand relative to it may reach: the red zone of the System V ABI.
inline constexpr std::int32_t kRedZone = 128;

enum class RuleId : std::uint8_t {
#define RULE(id, enumerator, name, statement) enumerator,
#include "sandbox/verifier/rules.def"
#undef RULE
};

struct Violation {
  RuleId rule;
  std::uint32_t offset;  // of the instruction, from the start of the code

  friend bool operator==(const Violation&, const Violation&) = default;
};

struct Code {
  const unsigned char* bytes;
  std::size_t size;
  std::uint64_t base;  // the address that the guest runs it at
  // Highest x86-64 level allowed: 2 (SSE4.2, POPCNT) or 3 (AVX2, BMI2, FMA, F16C, LZCNT, MOVBE).
  unsigned isa_level;
};

// Is told each violation. False stops the pass.
struct Sink {
  bool (*add)(void* context, Violation violation);
  void* context;
};

// Words of scratch memory that code of `size` bytes needs: two bits per byte. The passes below set
// them; what they held before does not matter.
constexpr std::size_t ScratchWords(std::size_t size) { return size / kBundleSize * 2; }

// True if all rules are kept. Otherwise `first` is the violation at the lowest offset.
[[nodiscard]] bool IsAcceptable(const Code& code, std::uint32_t* scratch, Violation& first);

// The same in parts, for whoever wants all violations or has several threads: CheckRegion; if it
// says true CheckBundles for all bundles, in any order and split at will; when all of that is done
// CheckBranches likewise. Violations come by offset within each pass; an instruction has at most
// one of all passes.

// Rule V01. False if the code is where none may be, so that nothing else can be said of it.
bool CheckRegion(const Code& code, const Sink& sink);
// All rules but V01 and V17, for bundles [first, end) of the size / kBundleSize whole ones.
void CheckBundles(const Code& code, std::size_t first, std::size_t end, std::uint32_t* scratch,
                  const Sink& sink);
// Rule V17, for bundles [first, end), by what CheckBundles left in `scratch`.
void CheckBranches(const Code& code, std::size_t first, std::size_t end,
                   const std::uint32_t* scratch, const Sink& sink);

}  // namespace zerocloud::verifier
