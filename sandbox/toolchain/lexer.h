// Cuts GNU assembly (AT&T syntax, as gcc writes it) into statements. Knows comments, strings,
// character constants, statement separators, labels and the line markers that cpp leaves behind;
// nothing about instructions. Not trusted: what it gets wrong, the verifier refuses later.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "channels/base/result.h"

namespace zerocloud::toolchain {

enum class StatementKind : std::uint8_t { kLabel, kDirective, kInstruction, kAssignment };

struct Statement {
  StatementKind kind = StatementKind::kInstruction;
  std::uint32_t line = 0;  // of `file`, from 1
  std::uint32_t file = 0;  // index into Assembly::files
  std::string_view name;   // the label, the directive with its dot, the mnemonic, the symbol
  std::string_view rest;   // what follows the name, trimmed; of an assignment, from '=' on
};

// Statements point into `text`, so an Assembly is moved only with care: text is on the heap and
// stays.
struct Assembly {
  std::vector<char> text;  // comments are spaces
  std::vector<std::string> files;
  std::vector<Statement> statements;
};

inline constexpr std::size_t kMaxAssemblyBytes = std::size_t{1} << 30;

// Fails on an unterminated comment or string and on more than kMaxAssemblyBytes.
Result<Assembly> Lex(std::string_view text, std::string_view file);

std::string_view Trim(std::string_view text);

// A character that may stand in a symbol's name.
bool IsSymbolCharacter(char c);

}  // namespace zerocloud::toolchain
