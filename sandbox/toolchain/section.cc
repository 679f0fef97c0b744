#include "sandbox/toolchain/section.h"

#include <tuple>
#include <utility>

#include "sandbox/toolchain/operand.h"

namespace zerocloud::toolchain {
namespace {

bool StartsWithName(std::string_view section, std::string_view name) {
  return section.starts_with(name) &&
         (section.size() == name.size() || section[name.size()] == '.');
}

std::string_view Unquote(std::string_view text) {
  if (text.size() >= 2 && text.front() == '"' && text.back() == '"') {
    return text.substr(1, text.size() - 2);
  }
  return text;
}

}  // namespace

Section ParseSection(std::string_view operands) {
  const auto parts = SplitOperands(operands);
  Section out;
  out.name = parts.empty() ? "" : std::string(Unquote(parts[0]));
  if (parts.size() > 1 && parts[1].starts_with('"')) {
    out.executable = parts[1].find('x') != std::string_view::npos;
    out.writable = parts[1].find('w') != std::string_view::npos;
  } else {
    out.executable =
        StartsWithName(out.name, ".text") || out.name == ".init" || out.name == ".fini";
    out.writable = StartsWithName(out.name, ".data") || StartsWithName(out.name, ".bss");
  }
  out.debug = out.name.starts_with(".debug") || out.name.starts_with(".eh_frame") ||
              out.name.starts_with(".gnu.debug") || out.name.starts_with(".stab");
  return out;
}

void SectionTracker::Enter(Section section) {
  previous_ = std::exchange(current_, std::move(section));
}

bool SectionTracker::Follow(const Statement& directive) {
  const std::string_view name = directive.name;
  if (name == ".text") {
    Enter({});
  } else if (name == ".data" || name == ".bss") {
    Enter({std::string(name), false, true, false});
  } else if (name == ".section") {
    Enter(ParseSection(directive.rest));
  } else if (name == ".pushsection") {
    stack_.emplace_back(current_, previous_);
    Enter(ParseSection(directive.rest));
  } else if (name == ".popsection") {
    if (stack_.empty()) return true;  // the assembler reports it
    std::tie(current_, previous_) = std::move(stack_.back());
    stack_.pop_back();
  } else if (name == ".previous") {
    std::swap(current_, previous_);
  } else {
    return false;
  }
  return true;
}

}  // namespace zerocloud::toolchain
