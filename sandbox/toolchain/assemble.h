// What gcc's call of `as` means: options read, the input rewritten, the assembler run.
#pragma once

#include <string>
#include <vector>

#include "channels/base/result.h"

namespace zerocloud::toolchain {

struct AssembleOptions {
  std::vector<std::string> inputs;  // "-" or none: standard input
  std::string output = "a.out";
  std::vector<std::string> pass_on;  // options for the assembler, in its driver's spelling
  bool line_info = false;            // wanted when the input has none of its own
  bool version = false;              // print the version and stop
};

// Understands the options of GNU as that gcc and build systems use. An option that has no meaning
// for guests and does not change what the program does is ignored; another one is an error that
// names it.
Result<AssembleOptions> ParseAssembleOptions(const std::vector<std::string>& arguments);

// Reads, rewrites and assembles. The program is $ZVM_ASSEMBLER, else clang-19.
Result<void> Assemble(const AssembleOptions& options);

// All of `path` ("-": standard input).
Result<std::string> ReadSource(const std::string& path);

}  // namespace zerocloud::toolchain
