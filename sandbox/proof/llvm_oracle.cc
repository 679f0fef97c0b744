#include "sandbox/proof/llvm_oracle.h"

#include <llvm-c/Disassembler.h>
#include <llvm-c/Target.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <cstdio>
#include <cstdlib>
#include <string_view>

namespace zerocloud::proof {
namespace {

constexpr auto kKnownPrefixes =
    std::to_array<std::string_view>({"rep ", "repne ", "lock ", "data16 ", "addr32 ", "notrack "});

// "rep movsb ..." without what stands before the mnemonic.
std::string_view WithoutPrefixes(std::string_view text) {
  for (bool goes_on = true; goes_on;) {
    goes_on = false;
    for (const std::string_view prefix : kKnownPrefixes) {
      if (!text.starts_with(prefix)) continue;
      text.remove_prefix(std::min(text.find_first_not_of(' ', prefix.size()), text.size()));
      goes_on = true;
    }
  }
  return text;
}

bool IsAnyOf(std::string_view mnemonic, std::initializer_list<std::string_view> stems) {
  return std::ranges::any_of(stems,
                             [&](std::string_view stem) { return mnemonic.starts_with(stem); });
}

// What stands between the brackets of a memory operand: "%rax,%rbx,4".
std::string_view Registers(std::string_view operands) {
  const std::size_t open = operands.find('(');
  if (open == std::string_view::npos) return {};
  return operands.substr(open + 1, operands.find(')', open) - open - 1);
}

bool HasSegment(std::string_view operands) {
  for (const std::string_view segment : {"%fs:", "%gs:", "%cs:", "%ss:"}) {
    if (operands.find(segment) != std::string_view::npos) return true;
  }
  return false;
}

// Segment registers, but for the es: of string instructions; control, debug, mask, MMX and zmm
// registers.
bool NamesSystemRegister(std::string_view operands) {
  for (std::size_t at = 0; (at = operands.find('%', at)) != std::string_view::npos; ++at) {
    std::size_t end = at + 1;
    while (end < operands.size() && std::isalnum(static_cast<unsigned char>(operands[end])) != 0)
      ++end;
    const std::string_view name = operands.substr(at + 1, end - at - 1);
    const bool is_es_of_string = name == "es" && operands.substr(end).starts_with(":(%edi");
    for (const std::string_view segment : {"cs", "ds", "es", "fs", "gs", "ss"}) {
      if (name == segment && !is_es_of_string) return true;
    }
    for (const std::string_view stem : {"cr", "dr", "k", "mm", "zmm", "bnd", "tmm"}) {
      if (name.size() > stem.size() && name.starts_with(stem) &&
          std::isdigit(static_cast<unsigned char>(name[stem.size()])) != 0)
        return true;
    }
  }
  return false;
}

// The order of 67, 66 and F2 or F3 means nothing to a processor, but LLVM 19 knows the last two as
// parts of an opcode only in this one.
void SortPrefixes(unsigned char* bytes) {
  const auto rank = [](unsigned char byte) {
    return byte == 0x67 ? 0 : byte == 0x66 ? 1 : byte == 0xF2 || byte == 0xF3 ? 2 : 3;
  };
  unsigned char* end = bytes;
  while (rank(*end) < 3) ++end;
  std::sort(bytes, end, [&](unsigned char a, unsigned char b) { return rank(a) < rank(b); });
}

std::string_view LastOperand(std::string_view operands) {
  if (operands.ends_with(')')) return {};
  const std::size_t comma = operands.rfind(", ");
  return comma == std::string_view::npos ? operands : operands.substr(comma + 2);
}

}  // namespace

LlvmOracle::LlvmOracle() {
  LLVMInitializeX86TargetInfo();
  LLVMInitializeX86TargetMC();
  LLVMInitializeX86Disassembler();
  disassembler_ =
      LLVMCreateDisasmCPU("x86_64-linux-gnu", "x86-64-v4", nullptr, 0, nullptr, nullptr);
  if (disassembler_ == nullptr) {
    std::fputs("proof: LLVM has no x86 disassembler\n", stderr);
    std::exit(2);
  }
}

LlvmOracle::~LlvmOracle() { LLVMDisasmDispose(disassembler_); }

std::size_t LlvmOracle::Decode(const unsigned char* bytes, std::size_t size, std::uint64_t pc,
                               std::string& text) const {
  std::array<char, 256> line{};
  // SAFETY: the C interface takes no const; it does not write.
  const std::size_t length = LLVMDisasmInstruction(disassembler_, const_cast<std::uint8_t*>(bytes),
                                                   size, pc, line.data(), line.size());
  text = line.data();
  std::ranges::replace(text, '\t', ' ');
  text.erase(0, text.find_first_not_of(' '));
  if (const std::size_t comment = text.find(" #"); comment != std::string::npos)
    text.resize(comment);
  return length;
}

std::string LlvmOracle::FindUnsafe(const unsigned char* bytes, std::size_t length,
                                   std::uint64_t pc) const {
  constexpr std::size_t kLongest = 15;
  std::array<unsigned char, kLongest> window{};
  std::copy_n(bytes, length, window.begin());
  SortPrefixes(window.data());
  std::string text;
  // LLVM takes some prefixes (66, F3, 67) that mean nothing to it for instructions of their own.
  std::size_t decoded = 0;
  std::string prefixes;
  do {
    const std::size_t more = Decode(window.data() + decoded, length - decoded, pc + decoded, text);
    if (more == 0) return "LLVM knows no such instruction";
    decoded += more;
    if (text != "data16" && text != "addr32" && text != "rep" && text != "repne") break;
    prefixes += text + ' ';
  } while (decoded < length);
  if (decoded != length) {
    return "LLVM says `" + text + "` has " + std::to_string(decoded) + " bytes, not " +
           std::to_string(length);
  }
  const std::string_view plain = WithoutPrefixes(text);
  const std::string_view mnemonic = plain.substr(0, plain.find(' '));
  const std::string_view operands =
      plain.size() == mnemonic.size() ? std::string_view() : plain.substr(mnemonic.size() + 1);
  const auto wrong = [&](const char* what) { return "`" + prefixes + text + "` " + what; };

  if (IsAnyOf(mnemonic, {"nop"})) return "";
  if (IsAnyOf(mnemonic,
              {"syscall", "sysenter", "sysret", "int",   "iret",  "in",      "out",
               "cpuid",   "rdtsc",    "rdmsr",  "wrmsr", "wrfs",  "wrgs",    "rdfs",
               "rdgs",    "xrstor",   "xsave",  "lret",  "lcall", "ljmp",    "enter",
               "leave",   "loop",     "jrcxz",  "jecxz", "popf",  "pushf",   "xlat",
               "maskmov", "wrpkru",   "swapgs", "lgdt",  "lidt",  "vgather", "vpgather"}) &&
      !IsAnyOf(mnemonic, {"int3", "inc", "insert"})) {
    return wrong("may not be used");
  }
  if (HasSegment(operands)) return wrong("has a segment");
  if (NamesSystemRegister(operands)) return wrong("names a register of the system");

  if (mnemonic.starts_with("j") || mnemonic.starts_with("call")) {
    if (operands.find('(') != std::string_view::npos) return wrong("branches through memory");
    return "";
  }
  const std::string_view registers = Registers(operands);
  const bool is_string = operands.find("(%rdi)") != std::string_view::npos &&
                         IsAnyOf(mnemonic, {"movs", "stos", "scas", "cmps", "lods"}) &&
                         operands.find("%es:") != std::string_view::npos;
  if (is_string) return wrong("uses all of rdi");
  if (!mnemonic.starts_with("lea") && operands.find('(') != std::string_view::npos) {
    const bool is_free = registers.find("%r") != std::string_view::npos && registers != "%rip" &&
                         registers != "%rsp" && !registers.starts_with("%rsp,%riz");
    // %r8d and its like are 32 bits wide.
    std::size_t at = 0;
    bool is_wide = false;
    while (is_free && (at = registers.find("%r", at)) != std::string_view::npos) {
      const std::size_t end = std::min(registers.find(',', at), registers.size());
      is_wide |= registers[end - 1] != 'd';
      at = end;
    }
    if (is_wide) return wrong("addresses memory with 64 bits");
  } else if (!mnemonic.starts_with("lea")) {
    // An absolute address: a number that is no immediate.
    const bool has_absolute =
        !operands.empty() &&
        (operands[0] == '-' || std::isdigit(static_cast<unsigned char>(operands[0])) != 0);
    const bool has_67 = std::ranges::find(window, 0x67) != window.end();
    if (has_absolute && !has_67) return wrong("has an absolute address");
  }
  const bool only_reads =
      IsAnyOf(mnemonic, {"cmp", "test", "push", "bt", "mul", "div", "idiv", "ucomis", "comis"}) &&
      !IsAnyOf(mnemonic, {"btr", "bts", "btc", "cmpxchg"});
  // imul of one operand multiplies rax by it.
  const bool is_multiplication =
      mnemonic.starts_with("imul") && operands.find(", ") == std::string_view::npos;
  const std::string_view last = LastOperand(operands);
  if (!only_reads && !is_multiplication && (last == "%rsp" || last == "%sp" || last == "%spl"))
    return wrong("writes rsp");
  // These write what is not their last operand too: all that they name, and mulx all but the first.
  std::string_view written;
  if (IsAnyOf(mnemonic, {"xchg", "xadd"})) written = operands;
  if (mnemonic.starts_with("mulx")) written = operands.substr(operands.find(", "));
  for (const std::string_view name : {"%rsp", "%sp", "%spl"}) {
    const std::size_t at = written.find(name);
    const bool is_base = at != std::string_view::npos && at > 0 && written[at - 1] == '(';
    if (at != std::string_view::npos && !is_base) return wrong("writes rsp");
  }
  return "";
}

}  // namespace zerocloud::proof
