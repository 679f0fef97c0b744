// Which section a statement is in, followed through the section directives of an assembly file.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "sandbox/toolchain/lexer.h"

namespace zerocloud::toolchain {

struct Section {
  std::string name = ".text";
  bool executable = true;
  bool writable = false;
  bool debug = false;  // describes code to a debugger or an unwinder; nothing runs because of it
};

class SectionTracker {
 public:
  // Follows `directive` when it is one that changes the section; false when it is another one.
  bool Follow(const Statement& directive);

  [[nodiscard]] const Section& current() const { return current_; }

 private:
  void Enter(Section section);

  Section current_;
  Section previous_;
  std::vector<std::pair<Section, Section>> stack_;  // current and previous, of .pushsection
};

// The section that the operands of .section or .pushsection name.
Section ParseSection(std::string_view operands);

}  // namespace zerocloud::toolchain
