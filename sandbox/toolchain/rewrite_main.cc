// zvm-rewrite: assembly in, assembly for guests out. What `as` of zvm-cc does, to be looked at.
#include <iostream>
#include <string>

#include "sandbox/toolchain/assemble.h"
#include "sandbox/toolchain/rewrite.h"

int main(int argc, char** argv) {
  if (argc > 2 || (argc == 2 && std::string_view(argv[1]) == "--help")) {
    std::cerr << "usage: zvm-rewrite [FILE.s] > OUT.s\n";
    return argc == 2 ? 0 : 2;
  }
  const std::string file = argc == 2 ? argv[1] : "-";
  const auto source = zerocloud::toolchain::ReadSource(file);
  if (!source) {
    std::cerr << "zvm-rewrite: " << source.error().message << "\n";
    return 1;
  }
  const auto out = zerocloud::toolchain::Rewrite(*source, file == "-" ? "<stdin>" : file);
  if (!out) {
    std::cerr << out.error().message << "\n";
    return 1;
  }
  std::cout << out->text << std::flush;
  return std::cout ? 0 : 1;
}
