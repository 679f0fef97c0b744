// Turns the assembly that gcc writes into assembly that the verifier accepts: software fault
// isolation for a guest that owns the low 4 GiB of its address space. docs/toolchain.md has the
// rules with their reasons. In short:
//
//   - memory is addressed with 32-bit registers, or relative to rip, or near rsp without an index;
//   - rsp is written by push, pop, call and ret, or as esp;
//   - code is cut into bundles of 32 bytes; a call ends one, so that it returns to the start of
//   one;
//   - an indirect branch is masked to the start of a bundle, and so is a return:
//     andq $0x7fffffe0, (%rsp); ret.
//
// Pure and not trusted: the verifier looks at the result. All knowledge of how the assembler is
// asked for bundles is in bundle.h.
#pragma once

#include <string>
#include <string_view>

#include "channels/base/result.h"

namespace zerocloud::toolchain {

struct Rewritten {
  std::string text;
  bool has_line_info = false;  // it has .loc directives: the compiler described its lines
};

// `file` names the input in messages until a line marker names another. An error lists up to
// kMaxProblems statements that cannot be rewritten, one per line: "file:line: statement: why".
Result<Rewritten> Rewrite(std::string_view text, std::string_view file);

inline constexpr int kMaxProblems = 20;

}  // namespace zerocloud::toolchain
