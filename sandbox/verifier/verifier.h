// The verifier: machine code in, verdict out. Trusted: the first wall stands on it alone; compiler,
// assembler, rewriter and linker are not trusted.
//
// Code that is accepted, mapped at the address it was verified for in a process laid out as zvm.h
// says, can neither read, write nor execute anything but the low 4 GiB and the guard above them.
// docs/verifier.md has the assumptions and the argument. The rules are checked by the core
// (verify_core.h); this adds memory, threads and the list of all violations. Pure: no I/O, no
// state; thread-safe. Allocates two bits per byte of code, and the verdict.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "sandbox/verifier/rules.h"
#include "sandbox/verifier/verify_core.h"

namespace zerocloud::verifier {

struct Options {
  // Highest x86-64 level allowed: 2 (SSE4.2, POPCNT) or 3 (AVX2, BMI2, FMA, F16C, LZCNT, MOVBE).
  unsigned isa_level = 2;
  // The verdict lists this many violations at most, the first ones, and at least one.
  std::size_t max_violations = 100;
  // Threads that large code is divided among, the caller's included; small code stays on that one.
  unsigned threads = 1;
};

// What is wrong, by offset; nothing if the code is accepted. One violation per instruction: the
// first rule that it breaks. After code that cannot be decoded, verification goes on at the next
// bundle.
struct Verdict {
  std::vector<Violation> violations;

  [[nodiscard]] bool is_accepted() const { return violations.empty(); }
  friend bool operator==(const Verdict&, const Verdict&) = default;
};

// Verifies all of `code`, as it will be mapped at address `base`.
[[nodiscard]] Verdict Verify(std::span<const std::byte> code, std::uint64_t base,
                             const Options& options);

}  // namespace zerocloud::verifier
