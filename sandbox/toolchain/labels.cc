#include "sandbox/toolchain/labels.h"

#include <algorithm>
#include <array>
#include <map>
#include <unordered_set>

#include "sandbox/toolchain/contains.h"
#include "sandbox/toolchain/operand.h"
#include "sandbox/toolchain/section.h"

namespace zerocloud::toolchain {
namespace {

bool IsDigit(char c) { return c >= '0' && c <= '9'; }

constexpr std::array<std::string_view, 17> kDataDirectives = {
    ".quad",  ".long",    ".int",     ".word", ".value", ".short", ".byte",  ".2byte", ".4byte",
    ".8byte", ".uleb128", ".sleb128", ".octa", ".set",   ".equ",   ".equiv", ".eqv"};

constexpr std::array<std::string_view, 6> kBindingDirectives = {
    ".globl", ".global", ".weak", ".hidden", ".protected", ".internal"};

class Finder {
 public:
  explicit Finder(const Assembly& assembly) : assembly_(assembly) {}

  std::vector<bool> Run() {
    Collect();
    std::vector<bool> out(assembly_.statements.size());
    for (const auto& [index, name] : text_labels_) {
      out[index] = taken_.contains(name) || numeric_taken_.contains(index);
    }
    return out;
  }

 private:
  void Collect() {
    SectionTracker section;
    for (std::size_t i = 0; i < assembly_.statements.size(); ++i) {
      const Statement& statement = assembly_.statements[i];
      switch (statement.kind) {
        case StatementKind::kLabel:
          Label(i, statement.name, section.current().executable);
          break;
        case StatementKind::kAssignment:
          References(statement.rest);
          break;
        case StatementKind::kDirective:
          if (!section.Follow(statement)) Directive(statement, section.current());
          break;
        case StatementKind::kInstruction:
          Instruction(statement);
          break;
      }
    }
  }

  void Label(std::size_t index, std::string_view name, bool executable) {
    if (executable) text_labels_.emplace_back(index, name);
    if (IsDigit(name.front())) {
      last_numeric_[name] = index;
      if (const auto waiting = forward_.find(name); waiting != forward_.end()) {
        numeric_taken_.insert(index);
        forward_.erase(waiting);
      }
    }
  }

  void Directive(const Statement& statement, const Section& section) {
    if (Contains(kBindingDirectives, statement.name)) {
      for (const std::string_view name : SplitOperands(statement.rest)) taken_.insert(name);
    } else if (statement.name == ".type") {
      const auto parts = SplitOperands(statement.rest);
      if (parts.size() == 2 && parts[1].find("func") != std::string_view::npos) {
        taken_.insert(parts[0]);
      }
    } else if (!section.debug && Contains(kDataDirectives, statement.name)) {
      References(statement.rest);
    }
  }

  // The address that an instruction takes, or the memory it reads, may be code. A direct branch
  // takes none; a statement whose first word is a prefix is treated as taking one, which is only
  // wasteful.
  void Instruction(const Statement& statement) {
    if (IsBranch(statement.name) && !statement.rest.starts_with('*')) return;
    References(statement.rest);
  }

  void References(std::string_view text) {
    for (std::size_t i = 0; i < text.size();) {
      if (text[i] == '"') {
        const std::size_t close = std::min(text.find('"', i + 1), text.size() - 1);
        taken_.insert(text.substr(i, close - i + 1));
        i = close + 1;
        continue;
      }
      if (text[i] == '%' || text[i] == '$' || !IsSymbolCharacter(text[i])) {
        const bool reg = text[i] == '%';
        ++i;
        while (reg && i < text.size() && IsSymbolCharacter(text[i])) ++i;
        continue;
      }
      std::size_t end = i;
      while (end < text.size() && IsSymbolCharacter(text[end])) ++end;
      const std::string_view word = text.substr(i, end - i);
      Reference(word.substr(0, word.find('@')));
      i = end;
    }
  }

  void Reference(std::string_view word) {
    if (word.empty()) return;
    if (!IsDigit(word.front())) {
      taken_.insert(word);
      return;
    }
    if (word.size() < 2 || !std::ranges::all_of(word.substr(0, word.size() - 1), IsDigit)) return;
    const std::string_view number = word.substr(0, word.size() - 1);
    if (word.back() == 'f') {
      forward_.insert(number);
    } else if (word.back() == 'b') {
      if (const auto label = last_numeric_.find(number); label != last_numeric_.end()) {
        numeric_taken_.insert(label->second);
      }
    }
  }

  const Assembly& assembly_;
  std::vector<std::pair<std::size_t, std::string_view>> text_labels_;
  std::unordered_set<std::string_view> taken_;
  std::map<std::string_view, std::size_t> last_numeric_;  // "1:" -> its statement
  std::unordered_set<std::string_view> forward_;          // "1f" was taken and "1:" not yet seen
  std::unordered_set<std::size_t> numeric_taken_;
};

}  // namespace

bool IsBranch(std::string_view mnemonic) {
  return (mnemonic.starts_with('j') && mnemonic.size() > 1) || mnemonic == "call" ||
         mnemonic == "callq" || mnemonic.starts_with("loop") || mnemonic == "xbegin";
}

std::vector<bool> FindBundleLabels(const Assembly& assembly) { return Finder(assembly).Run(); }

}  // namespace zerocloud::toolchain
