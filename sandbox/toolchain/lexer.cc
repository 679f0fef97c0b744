#include "sandbox/toolchain/lexer.h"

#include <charconv>
#include <optional>

namespace zerocloud::toolchain {
namespace {

bool IsSpace(char c) { return c == ' ' || c == '\t' || c == '\r' || c == '\f' || c == '\v'; }
bool IsDigit(char c) { return c >= '0' && c <= '9'; }

constexpr std::size_t kMaxFileName = 4096;  // it is repeated in the output

class Lexer {
 public:
  Lexer(std::string_view text, std::string_view file) {
    out_.text.assign(text.begin(), text.end());
    out_.text.push_back('\n');
    out_.files.emplace_back(file);
  }

  Result<Assembly> Run() {
    while (at_ < out_.text.size()) {
      if (auto error = Step()) return Fail(ErrorCode::kInvalid, std::move(*error));
    }
    return std::move(out_);
  }

 private:
  // One character, comment, string or separator.
  std::optional<std::string> Step() {
    char& c = out_.text[at_];
    if (c == '\n') {
      EndStatement();
      ++line_;
      start_ = ++at_;
    } else if (c == ';') {
      EndStatement();
      start_ = ++at_;
    } else if (c == '#') {
      Comment();
    } else if (c == '/' && Peek(1) == '*') {
      return BlockComment();
    } else if (c == '"') {
      return String();
    } else if (c == '\'') {
      // A character constant: 'x, '\n or 'x'. Its character must not start a comment or a string.
      at_ += Peek(1) == '\\' ? 3 : 2;
    } else {
      ++at_;
    }
    return std::nullopt;
  }

  [[nodiscard]] char Peek(std::size_t ahead) const {
    return at_ + ahead < out_.text.size() ? out_.text[at_ + ahead] : '\n';
  }

  // "# 12 "file"" at the start of a line says where the next line comes from.
  void Comment() {
    const bool first = Trim({&out_.text[start_], at_ - start_}).empty();
    std::size_t end = at_;
    while (out_.text[end] != '\n') ++end;
    if (first) LineMarker({&out_.text[at_ + 1], end - at_ - 1});
    for (; at_ < end; ++at_) out_.text[at_] = ' ';
  }

  void LineMarker(std::string_view marker) {
    marker = Trim(marker);
    std::uint32_t line = 0;
    const auto [rest, error] = std::from_chars(marker.data(), marker.data() + marker.size(), line);
    if (error != std::errc{} || line == 0) return;
    marker = Trim(marker.substr(static_cast<std::size_t>(rest - marker.data())));
    if (marker.size() < 2 || marker.front() != '"') return;
    const std::size_t close = marker.find('"', 1);
    if (close == std::string_view::npos) return;
    const std::string_view file = marker.substr(1, close - 1);
    if (file.size() > kMaxFileName) return;
    if (out_.files.back() != file) out_.files.emplace_back(file);
    line_ = line - 1;
  }

  std::optional<std::string> BlockComment() {
    const std::uint32_t first_line = line_;
    out_.text[at_] = out_.text[at_ + 1] = ' ';
    for (at_ += 2; at_ + 1 < out_.text.size(); ++at_) {
      if (out_.text[at_] == '*' && out_.text[at_ + 1] == '/') {
        out_.text[at_] = out_.text[at_ + 1] = ' ';
        at_ += 2;
        return std::nullopt;
      }
      if (out_.text[at_] == '\n') ++line_;
      out_.text[at_] = ' ';
    }
    return Where(first_line) + "a comment is not closed";
  }

  std::optional<std::string> String() {
    for (++at_; out_.text[at_] != '\n'; ++at_) {
      if (out_.text[at_] == '\\' && Peek(1) != '\n') {
        ++at_;
      } else if (out_.text[at_] == '"') {
        ++at_;
        return std::nullopt;
      }
    }
    return Where(line_) + "a string is not closed";
  }

  [[nodiscard]] std::string Where(std::uint32_t line) const {
    return out_.files.back() + ":" + std::to_string(line) + ": ";
  }

  void EndStatement() {
    std::string_view text = Trim({&out_.text[start_], at_ - start_});
    while (!text.empty()) {
      const std::size_t length = NameLength(text);
      const std::string_view after = Trim(text.substr(length));
      if (length > 0 && after.starts_with(':')) {
        Add(StatementKind::kLabel, text.substr(0, length), {});
        text = Trim(after.substr(1));
        continue;
      }
      if (length > 0 && after.starts_with('=') && !after.starts_with("==")) {
        Add(StatementKind::kAssignment, text.substr(0, length), after);
        return;
      }
      std::size_t word = 0;
      while (word < text.size() && !IsSpace(text[word])) ++word;
      const auto kind =
          text.front() == '.' ? StatementKind::kDirective : StatementKind::kInstruction;
      Add(kind, text.substr(0, word), Trim(text.substr(word)));
      return;
    }
  }

  // Of a symbol at the start of `text`: quoted, or of symbol characters.
  static std::size_t NameLength(std::string_view text) {
    if (text.front() == '"') {
      const std::size_t close = text.find('"', 1);
      return close == std::string_view::npos ? 0 : close + 1;
    }
    std::size_t length = 0;
    while (length < text.size() && IsSymbolCharacter(text[length])) ++length;
    return length;
  }

  void Add(StatementKind kind, std::string_view name, std::string_view rest) {
    const auto file = static_cast<std::uint32_t>(out_.files.size() - 1);
    out_.statements.push_back({kind, line_, file, name, rest});
  }

  Assembly out_;
  std::size_t at_ = 0;
  std::size_t start_ = 0;  // of the statement being read
  std::uint32_t line_ = 1;
};

}  // namespace

std::string_view Trim(std::string_view text) {
  while (!text.empty() && IsSpace(text.front())) text.remove_prefix(1);
  while (!text.empty() && IsSpace(text.back())) text.remove_suffix(1);
  return text;
}

bool IsSymbolCharacter(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || IsDigit(c) || c == '_' || c == '.' ||
         c == '$' || c == '@' || (static_cast<unsigned char>(c) & 0x80) != 0;
}

Result<Assembly> Lex(std::string_view text, std::string_view file) {
  if (text.size() > kMaxAssemblyBytes) {
    return Fail(ErrorCode::kLimitExceeded, std::string(file) + ": more than " +
                                               std::to_string(kMaxAssemblyBytes) +
                                               " bytes of assembly; split the source file");
  }
  return Lexer(text, file).Run();
}

}  // namespace zerocloud::toolchain
