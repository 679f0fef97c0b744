#include "sandbox/tools/verdict_text.h"

#include <Zydis/Decoder.h>
#include <Zydis/Formatter.h>
#include <fmt/format.h>
#include <rapidjson/stringbuffer.h>
#include <rapidjson/writer.h>

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
  rapidjson::StringBuffer buffer;
  rapidjson::Writer<rapidjson::StringBuffer> json(buffer);
  const auto text = [&json](std::string_view key, std::string_view value) {
    json.Key(key.data(), static_cast<rapidjson::SizeType>(key.size()));
    json.String(value.data(), static_cast<rapidjson::SizeType>(value.size()));
  };
  const auto number = [&json](std::string_view key, std::uint64_t value) {
    json.Key(key.data(), static_cast<rapidjson::SizeType>(key.size()));
    json.Uint64(value);
  };
  json.StartObject();
  text("file", file);
  text("sha256", examination.digest);
  json.Key("accepted");
  json.Bool(examination.verdict.is_accepted());
  number("isa_level", examination.layout.isa_level);
  number("text_address", examination.layout.text_address);
  number("text_size", examination.layout.text_size);
  json.Key("violations");
  json.StartArray();
  for (const verifier::Violation& violation : examination.verdict.violations) {
    const verifier::Rule& rule = verifier::GetRule(violation.rule);
    const std::uint64_t address = AddressOf(examination, violation);
    json.StartObject();
    text("rule", rule.id);
    text("name", rule.name);
    number("offset", violation.offset);
    number("address", address);
    text("symbol", loader::Symbolize(examination.symbols, address));
    text("disassembly", Disassemble(examination, violation.offset));
    text("statement", rule.statement);
    json.EndObject();
  }
  json.EndArray();
  json.EndObject();
  return std::string(buffer.GetString(), buffer.GetSize()) + "\n";
}

std::string RulesText() {
  std::string out;
  for (const verifier::Rule& rule : verifier::kRules) {
    fmt::format_to(std::back_inserter(out), "{} {}: {}\n", rule.id, rule.name, rule.statement);
  }
  return out;
}

}  // namespace zerocloud::tools
