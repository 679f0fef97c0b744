#include "sandbox/tools/verdict_text.h"

#include <Zydis/Decoder.h>
#include <Zydis/Formatter.h>
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <iterator>

namespace zerocloud::tools {
namespace {

using loader::Examination;

// The instruction at `offset` of the text, as AT&T assembly; its bytes if it is none.
std::string Disassemble(const Examination& examination, std::uint64_t offset) {
  const auto& text = examination.text;
  if (offset >= text.size()) return "(end of text)";
  ZydisDecoder decoder;
  ZydisDecoderInit(&decoder, ZYDIS_MACHINE_MODE_LONG_64, ZYDIS_STACK_WIDTH_64);
  ZydisFormatter formatter;
  ZydisFormatterInit(&formatter, ZYDIS_FORMATTER_STYLE_ATT);
  ZydisDecodedInstruction instruction;
  std::array<ZydisDecodedOperand, ZYDIS_MAX_OPERAND_COUNT> operands;
  std::array<char, 256> line{};
  if (ZYAN_SUCCESS(ZydisDecoderDecodeFull(&decoder, text.data() + offset, text.size() - offset,
                                          &instruction, operands.data())) &&
      ZYAN_SUCCESS(ZydisFormatterFormatInstruction(
          &formatter, &instruction, operands.data(), instruction.operand_count_visible, line.data(),
          line.size(), examination.layout.text_address + offset, nullptr))) {
    return line.data();
  }
  std::string bytes = "(bytes";
  const std::size_t end = std::min<std::size_t>(text.size(), offset + 8);
  for (std::size_t at = offset; at < end; ++at) {
    bytes += fmt::format(" {:02x}", std::to_integer<unsigned>(text[at]));
  }
  return bytes + ")";
}

// A JSON string. What is not printable ASCII becomes a question mark: only a file name can have it.
std::string Quote(std::string_view text) {
  std::string quoted = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') quoted += '\\';
    quoted += 0x20 <= c && c < 0x7F ? c : '?';
  }
  return quoted + '"';
}

std::uint64_t AddressOf(const Examination& examination, const verifier::Violation& violation) {
  return examination.layout.text_address + violation.offset;
}

}  // namespace

std::string VerdictText(std::string_view file, const Examination& examination) {
  const auto& violations = examination.verdict.violations;
  const loader::ImageLayout& layout = examination.layout;
  std::string out;
  const auto line = std::back_inserter(out);
  if (examination.verdict.is_accepted()) {
    fmt::format_to(line, "{}: accepted: {} bytes of text at {:#x}, x86-64-v{}, SHA-256 {}\n", file,
                   layout.text_size, layout.text_address, layout.isa_level, examination.digest);
    return out;
  }
  for (const verifier::Violation& violation : violations) {
    const verifier::Rule& rule = verifier::GetRule(violation.rule);
    const std::uint64_t address = AddressOf(examination, violation);
    const std::string symbol = loader::Symbolize(examination.symbols, address);
    fmt::format_to(line, "{}: {:#x}{}{}{}: {} {}: {}\n    {}\n", file, address,
                   symbol.empty() ? "" : " <", symbol, symbol.empty() ? "" : ">", rule.id,
                   rule.name, Disassemble(examination, violation.offset), rule.statement);
  }
  fmt::format_to(line, "{}: rejected: {} violation{} shown\n", file, violations.size(),
                 violations.size() == 1 ? "" : "s");
  return out;
}

std::string VerdictJson(std::string_view file, const Examination& examination) {
  std::string violations;
  for (const verifier::Violation& violation : examination.verdict.violations) {
    const verifier::Rule& rule = verifier::GetRule(violation.rule);
    const std::uint64_t address = AddressOf(examination, violation);
    if (!violations.empty()) violations += ',';
    fmt::format_to(std::back_inserter(violations),
                   R"({{"rule":{},"name":{},"offset":{},"address":{},"symbol":{},"disassembly":{},)"
                   R"("statement":{}}})",
                   Quote(rule.id), Quote(rule.name), violation.offset, address,
                   Quote(loader::Symbolize(examination.symbols, address)),
                   Quote(Disassemble(examination, violation.offset)), Quote(rule.statement));
  }
  const loader::ImageLayout& layout = examination.layout;
  return fmt::format(R"({{"file":{},"sha256":{},"accepted":{},"isa_level":{},"text_address":{},)"
                     R"("text_size":{},"violations":[{}]}})"
                     "\n",
                     Quote(file), Quote(examination.digest), examination.verdict.is_accepted(),
                     layout.isa_level, layout.text_address, layout.text_size, violations);
}

std::string RulesText() {
  std::string out;
  for (const verifier::Rule& rule : verifier::kRules) {
    fmt::format_to(std::back_inserter(out), "{} {}: {}\n", rule.id, rule.name, rule.statement);
  }
  return out;
}

}  // namespace zerocloud::tools
