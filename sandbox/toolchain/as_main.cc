// The `as` that zvm-cc gives to gcc: rewrites, then assembles.
#include <iostream>
#include <string>
#include <vector>

#include "sandbox/toolchain/assemble.h"

int main(int argc, char** argv) {
  using zerocloud::toolchain::Assemble;
  using zerocloud::toolchain::ParseAssembleOptions;
  const auto options = ParseAssembleOptions(std::vector<std::string>(argv + 1, argv + argc));
  if (!options) {
    std::cerr << "zvm-as: error: " << options.error().message << "\n";
    return 1;
  }
  if (options->version) {
    std::cout << "GNU assembler (zerocloud guest toolchain, rewriting for clang) 2.40\n";
    return 0;
  }
  if (const auto done = Assemble(*options); !done) {
    std::cerr << done.error().message << "\nzvm-as: error: no object file was written\n";
    return 1;
  }
  return 0;
}
