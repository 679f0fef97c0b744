#include "sandbox/toolchain/operand.h"

#include <array>
#include <charconv>

#include "sandbox/toolchain/lexer.h"

namespace zerocloud::toolchain {
namespace {

constexpr std::array<std::string_view, 8> kLegacy64 = {"rax", "rcx", "rdx", "rbx",
                                                       "rsp", "rbp", "rsi", "rdi"};

// Recursive descent over + and - (term level), * and unary signs. Unsigned arithmetic: no overflow.
class Expression {
 public:
  explicit Expression(std::string_view text) : text_(text) {}

  std::optional<std::int64_t> Value() {
    const auto value = Sum(0);
    if (!value || !Rest().empty()) return std::nullopt;
    return static_cast<std::int64_t>(*value);
  }

 private:
  static constexpr int kMaxDepth = 32;

  std::string_view Rest() { return text_ = Trim(text_); }

  bool Take(char c) {
    if (Rest().empty() || text_.front() != c) return false;
    text_.remove_prefix(1);
    return true;
  }

  std::optional<std::uint64_t> Sum(int depth) {
    auto left = Product(depth);
    while (left) {
      if (Take('+')) {
        const auto right = Product(depth);
        if (!right) return std::nullopt;
        *left += *right;
      } else if (Take('-')) {
        const auto right = Product(depth);
        if (!right) return std::nullopt;
        *left -= *right;
      } else {
        break;
      }
    }
    return left;
  }

  std::optional<std::uint64_t> Product(int depth) {
    auto left = Factor(depth);
    while (left && Take('*')) {
      const auto right = Factor(depth);
      if (!right) return std::nullopt;
      *left *= *right;
    }
    return left;
  }

  std::optional<std::uint64_t> Factor(int depth) {
    if (depth > kMaxDepth) return std::nullopt;
    if (Take('+')) return Factor(depth + 1);
    if (Take('-')) {
      const auto value = Factor(depth + 1);
      return value ? std::optional(0 - *value) : std::nullopt;
    }
    if (Take('(')) {
      const auto value = Sum(depth + 1);
      return value && Take(')') ? value : std::nullopt;
    }
    return Number();
  }

  std::optional<std::uint64_t> Number() {
    int base = 10;
    std::string_view digits = Rest();
    if (digits.starts_with("0x") || digits.starts_with("0X")) {
      base = 16;
      digits.remove_prefix(2);
    } else if (digits.size() > 1 && digits.front() == '0') {
      base = 8;
    }
    std::uint64_t value = 0;
    const auto [end, error] =
        std::from_chars(digits.data(), digits.data() + digits.size(), value, base);
    if (error != std::errc{}) return std::nullopt;
    digits.remove_prefix(static_cast<std::size_t>(end - digits.data()));
    if (!digits.empty() && IsSymbolCharacter(digits.front())) return std::nullopt;
    text_ = digits;
    return value;
  }

  std::string_view text_;
};

// "%rax" -> "rax"; empty stays empty. Nothing for other text.
std::optional<std::string_view> RegisterName(std::string_view text) {
  text = Trim(text);
  if (text.empty()) return text;
  if (text.front() != '%') return std::nullopt;
  return Trim(text.substr(1));
}

// Takes "(base,index,scale)" off the end of `text`. The displacement may hold parentheses of its
// own, so the address part is the last pair, and only if a register or a comma is first in it.
bool ParseAddress(std::string_view& text, Operand& out) {
  if (!text.ends_with(')')) return true;
  const std::size_t open = text.rfind('(');
  if (open == std::string_view::npos) return false;
  const std::string_view inside = Trim(text.substr(open + 1, text.size() - open - 2));
  if (inside.empty()) return false;
  if (inside.front() != '%' && inside.front() != ',') return true;
  const auto parts = SplitOperands(inside);
  if (parts.size() > 3) return false;
  const auto base = RegisterName(parts[0]);
  const auto index = RegisterName(parts.size() > 1 ? parts[1] : std::string_view{});
  if (!base || !index) return false;
  out.base = *base;
  out.index = *index;
  if (parts.size() > 2) out.scale = Trim(parts[2]);
  text = Trim(text.substr(0, open));
  return true;
}

}  // namespace

std::vector<std::string_view> SplitOperands(std::string_view text) {
  std::vector<std::string_view> out;
  if (Trim(text).empty()) return out;
  int depth = 0;
  bool quoted = false;
  std::size_t start = 0;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (quoted) {
      if (c == '\\') ++i;
      if (c == '"') quoted = false;
    } else if (c == '"') {
      quoted = true;
    } else if (c == '(' || c == '{') {
      ++depth;
    } else if (c == ')' || c == '}') {
      --depth;
    } else if (c == ',' && depth == 0) {
      out.push_back(Trim(text.substr(start, i - start)));
      start = i + 1;
    }
  }
  out.push_back(Trim(text.substr(start)));
  return out;
}

std::optional<Operand> ParseOperand(std::string_view text) {
  Operand out;
  text = Trim(text);
  if (text.starts_with('*')) {
    out.indirect = true;
    text = Trim(text.substr(1));
  }
  if (text.empty()) return std::nullopt;
  out.text = text;
  if (text.front() == '$') {
    out.kind = OperandKind::kImmediate;
    out.displacement = text.substr(1);
    return out;
  }
  if (text.front() == '%') {
    const std::size_t colon = text.find(':');
    if (colon == std::string_view::npos) {
      out.kind = OperandKind::kRegister;
      out.reg = Trim(text.substr(1));
      return out;
    }
    out.segment = Trim(text.substr(1, colon - 1));
    text = Trim(text.substr(colon + 1));
  }
  if (!ParseAddress(text, out)) return std::nullopt;
  out.displacement = text;
  return out;
}

std::string Low32(std::string_view reg) {
  if (reg == "riz" || reg == "eiz") return "eiz";
  for (const std::string_view name : kLegacy64) {
    if (reg == name || (reg.size() == 3 && reg[0] == 'e' && reg.substr(1) == name.substr(1))) {
      return "e" + std::string(name.substr(1));
    }
  }
  if (reg.size() < 2 || reg[0] != 'r') return {};
  std::string_view number = reg.substr(1);
  if (number.ends_with('d')) number.remove_suffix(1);
  if (number == "8" || number == "9" ||
      (number.size() == 2 && number[0] == '1' && number[1] >= '0' && number[1] <= '5')) {
    return "r" + std::string(number) + "d";
  }
  return {};
}

std::optional<std::int64_t> ConstantValue(std::string_view expression) {
  return Expression(expression).Value();
}

}  // namespace zerocloud::toolchain
