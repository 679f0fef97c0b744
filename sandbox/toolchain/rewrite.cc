#include "sandbox/toolchain/rewrite.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <optional>
#include <utility>
#include <vector>

#include "sandbox/toolchain/bundle.h"
#include "sandbox/toolchain/confine.h"
#include "sandbox/toolchain/contains.h"
#include "sandbox/toolchain/labels.h"
#include "sandbox/toolchain/lexer.h"
#include "sandbox/toolchain/mnemonics.h"
#include "sandbox/toolchain/operand.h"
#include "sandbox/toolchain/section.h"

namespace zerocloud::toolchain {
namespace {

constexpr std::string_view kReturnMask = "andq\t$0x7fffffe0, (%rsp)";

// Written by an object that needs x86-64-v3; the linker script turns it into the image's note.
constexpr std::string_view kLevel3Symbol = "__zvm_isa_level_3";

// Where a register rests while an exchange with memory borrows it: rewritten xchg.
constexpr std::string_view kSpare = ".Lzvm_spare(%rip)";

constexpr std::array<std::string_view, 11> kDroppedPrefixes = {
    "lock", "bnd", "notrack", "addr32", "cs", "ds", "es", "ss", "rep", "repz", "repe"};
constexpr std::array<std::string_view, 2> kRepeatNotEqual = {"repne", "repnz"};

// What has no effect for one thread that never leaves its processor's memory order, or only hints.
constexpr std::array<std::string_view, 6> kNoEffect = {"pause",  "mfence",  "lfence",
                                                       "sfence", "endbr64", "endbr32"};

constexpr std::array<std::string_view, 19> kDataInText = {
    ".byte",   ".2byte", ".4byte", ".8byte",   ".short",  ".value", ".word",
    ".long",   ".int",   ".quad",  ".octa",    ".ascii",  ".asciz", ".string",
    ".incbin", ".fill",  ".zero",  ".uleb128", ".sleb128"};
constexpr std::array<std::string_view, 3> kSpaceInText = {".skip", ".space", ".org"};

constexpr std::array<std::string_view, 14> kNotUnderstood = {
    ".macro",         ".rept",
    ".irp",           ".irpc",
    ".include",       ".altmacro",
    ".intel_syntax",  ".code16",
    ".code32",        ".code16gcc",
    ".nops",          ".bundle_lock",
    ".bundle_unlock", ".bundle_align_mode"};

std::string Lower(std::string_view text) {
  std::string out(text);
  for (char& c : out) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return out;
}

bool IsStackPointer(std::string_view reg) {
  return reg == "rsp" || reg == "esp" || reg == "sp" || reg == "spl";
}

// The name that `spare` ("r11") has at the width of `reg`; empty when they cannot be moved to each
// other.
std::string AtWidthOf(std::string_view reg, std::string_view spare) {
  const std::string low = Low32(reg);
  const std::string name(spare);
  if (!low.empty()) return low == reg ? name + "d" : name;
  if (reg.ends_with('w') ||
      (reg.size() == 2 && (reg[1] == 'x' || reg[1] == 'i' || reg[1] == 'p'))) {
    return name + "w";
  }
  if (reg.ends_with('b') || reg.ends_with('l')) return name + "b";
  return {};
}

bool NeedsAvx512(const Operand& operand) {
  const std::string_view text = operand.text;
  if (text.find("%zmm") != std::string_view::npos || text.find('{') != std::string_view::npos) {
    return true;
  }
  const std::string_view reg = operand.reg;
  if (reg.size() == 2 && reg[0] == 'k') return true;
  const bool vector = reg.starts_with("xmm") || reg.starts_with("ymm");
  return vector && reg.size() == 5 && (reg[3] > '1' || reg[4] > '5');
}

struct Instruction {
  std::string mnemonic;
  std::vector<Operand> operands;
  bool repeat = false;            // rep, repe, repz
  bool repeat_not_equal = false;  // repne, repnz
};

class Rewriter {
 public:
  explicit Rewriter(const Assembly& assembly)
      : assembly_(assembly), bundle_labels_(FindBundleLabels(assembly)), bundle_(out_) {}

  Result<Rewritten> Run() {
    for (std::size_t i = 0; i < assembly_.statements.size(); ++i) {
      statement_ = &assembly_.statements[i];
      MarkLine();
      const std::size_t before = out_.size();
      Write(i);
      expected_line_ = statement_->line +
                       static_cast<std::uint32_t>(std::count(
                           out_.begin() + static_cast<std::ptrdiff_t>(before), out_.end(), '\n'));
      if (problem_count_ >= kMaxProblems) break;
    }
    if (!prefixes_.empty()) Problem("a prefix without an instruction");
    if (!problems_.empty()) return Fail(ErrorCode::kInvalid, std::move(problems_));
    Finish();
    return Rewritten{std::move(out_), has_line_info_};
  }

 private:
  // Keeps the assembler's own messages and line tables in terms of the input.
  void MarkLine() {
    if (statement_->line == expected_line_ && statement_->file == marked_file_) return;
    marked_file_ = statement_->file;
    out_ +=
        "# " + std::to_string(statement_->line) + " \"" + assembly_.files[marked_file_] + "\"\n";
  }

  void Finish() {
    if (uses_spare_) {
      out_ += "\t.section\t.bss.zvm_spare,\"aw\",@nobits\n\t.p2align 3\n.Lzvm_spare:\n\t.zero\t8\n";
    }
    if (needs_level3_) {
      out_ += "\t.weak\t" + std::string(kLevel3Symbol) + "\n\t.set\t" + std::string(kLevel3Symbol) +
              ", 1\n";
    }
  }

  void Problem(std::string_view why) {
    ++problem_count_;
    if (!problems_.empty()) problems_ += '\n';
    problems_ += assembly_.files[statement_->file] + ":" + std::to_string(statement_->line) + ": " +
                 std::string(statement_->name);
    if (!statement_->rest.empty()) problems_ += " " + std::string(statement_->rest.substr(0, 120));
    problems_ += ": " + std::string(why);
  }

  void Line(std::string_view first, std::string_view second = {}) {
    out_ += '\t';
    out_ += first;
    if (!second.empty()) {
      out_ += '\t';
      out_ += second;
    }
    out_ += '\n';
  }

  void Write(std::size_t index) {
    const Statement& statement = *statement_;
    switch (statement.kind) {
      case StatementKind::kLabel:
        if (!prefixes_.empty()) Problem("a label between a prefix and its instruction");
        if (bundle_labels_[index]) bundle_.Align(kBundleLog2);
        out_ += statement.name;
        out_ += ":\n";
        break;
      case StatementKind::kAssignment:
        out_ += statement.name;
        out_ += ' ';
        out_ += statement.rest;
        out_ += '\n';
        break;
      case StatementKind::kDirective:
        WriteDirective();
        break;
      case StatementKind::kInstruction:
        WriteInstruction();
        break;
    }
  }

  // --- directives ---

  void WriteDirective() {
    const std::string_view name = statement_->name;
    if (Contains(kNotUnderstood, name)) {
      Problem("this directive is not supported in code for guests; write the statements out");
      return;
    }
    if (name == ".section" || name == ".pushsection") {
      if (const Section to = ParseSection(statement_->rest); to.executable && to.writable) {
        Problem("no page of a guest is writable and executable");
      }
      Line(name, PlainSection(statement_->rest));
    } else if (name == ".tls_common") {
      Line(".comm", statement_->rest);
    } else if (name == ".type") {
      Line(name, Replace(statement_->rest, "tls_object", "object"));
    } else if (name == ".loc") {
      has_line_info_ = true;
      Line(name, statement_->rest.substr(0, statement_->rest.find(" view ")));
    } else if (name == ".file" && statement_->rest.starts_with("0 ")) {
      Line(name, DistinctRootFile(statement_->rest));
    } else if (name == ".ident") {
      // The compiler's name; of no use to a guest.
    } else if (section_.current().executable) {
      WriteTextDirective(name);
    } else if (statement_->rest.find('@') != std::string_view::npos && name != ".symver") {
      Line(name, DropThreadLocalSuffixes(statement_->rest));
    } else {
      Line(name, statement_->rest);
    }
    section_.Follow(*statement_);
  }

  void WriteTextDirective(std::string_view name) {
    if (name == ".p2align" || name == ".align" || name == ".balign") {
      AlignText(name);
    } else if (Contains(kDataInText, name) || Contains(kSpaceInText, name)) {
      Problem("data among instructions cannot be verified; put it into .rodata");
    } else {
      Line(name, statement_->rest);
    }
  }

  void AlignText(std::string_view name) {
    const auto parts = SplitOperands(statement_->rest);
    const auto value = parts.empty() ? std::nullopt : ConstantValue(parts[0]);
    if (!value || *value < 0) return Problem("the alignment is not a number");
    std::int64_t log2 = *value;
    if (name != ".p2align") {
      log2 = 0;
      while (log2 < 32 && (std::int64_t{1} << log2) < *value) ++log2;
    }
    log2 = std::min<std::int64_t>(log2, kMaxAlignLog2);
    if (log2 < kBundleLog2 && parts.size() > 2) {
      Line(".p2align", std::to_string(log2) + ",," + std::string(parts[2]));
    } else if (log2 > 0) {
      bundle_.Align(static_cast<int>(log2));
    }
  }

  static std::string Replace(std::string_view text, std::string_view from, std::string_view to) {
    std::string out(text);
    if (const std::size_t at = out.find(from); at != std::string::npos) {
      out.replace(at, from.size(), to);
    }
    return out;
  }

  // LLVM takes a file with the name of file 0 for file 0 and forgets the number that gcc gave it,
  // so the name of file 0 becomes another one for the same file: "x.c" -> "./x.c", "/x.c" ->
  // "/./x.c".
  static std::string DistinctRootFile(std::string_view operands) {
    std::string out(operands);
    if (out.size() < 2 || !out.ends_with('"')) return out;
    const std::size_t quote = out.rfind('"', out.size() - 2);
    if (quote == std::string::npos) return out;
    out.insert(quote + (out[quote + 1] == '/' ? 2 : 1), "./");
    return out;
  }

  // Thread-local sections become plain ones: there is one thread.
  static std::string PlainSection(std::string_view operands) {
    auto parts = SplitOperands(operands);
    std::string out(parts.empty() ? std::string_view{} : parts[0]);
    if (out.starts_with(".tbss") || out.starts_with("\".tbss"))
      out = Replace(out, ".tbss", ".bss.tls");
    if (out.starts_with(".tdata") || out.starts_with("\".tdata")) {
      out = Replace(out, ".tdata", ".data.tls");
    }
    for (std::size_t i = 1; i < parts.size(); ++i) {
      std::string part(parts[i]);
      if (i == 1 && part.starts_with('"')) std::erase(part, 'T');
      out += "," + part;
    }
    return out;
  }

  // --- instructions ---

  void WriteInstruction() {
    std::optional<Instruction> instruction = Parse();
    if (!instruction) return;
    if (!section_.current().executable) return Problem("an instruction outside executable code");
    if (const auto why = WhyForbidden(instruction->mnemonic); !why.empty()) return Problem(why);
    for (const Operand& operand : instruction->operands) {
      if (NeedsAvx512(operand)) return Problem("AVX-512 is not supported; compile for x86-64-v3");
    }
    needs_level3_ |= NeedsLevel3(instruction->mnemonic);
    Translate(*instruction);
  }

  // Nothing for a prefix that stands alone (it belongs to the next statement), or after a problem.
  std::optional<Instruction> Parse() {
    Instruction out;
    out.mnemonic = Lower(statement_->name);
    std::string_view rest = statement_->rest;
    while (IsPrefix(out.mnemonic)) {
      prefixes_.push_back(out.mnemonic);
      std::size_t word = 0;
      while (word < rest.size() && rest[word] != ' ' && rest[word] != '\t') ++word;
      if (word == 0) return std::nullopt;
      out.mnemonic = Lower(rest.substr(0, word));
      rest = Trim(rest.substr(word));
    }
    for (const std::string& prefix : std::exchange(prefixes_, {})) {
      out.repeat |= prefix.starts_with("rep") && !prefix.starts_with("repn");
      out.repeat_not_equal |= prefix.starts_with("repn");
    }
    for (const std::string_view text : SplitOperands(rest)) {
      const auto operand = ParseOperand(text);
      if (!operand) {
        Problem("\"" + std::string(text) + "\" is not an operand in AT&T syntax");
        return std::nullopt;
      }
      out.operands.push_back(*operand);
    }
    return out;
  }

  static bool IsPrefix(std::string_view word) {
    return Contains(kDroppedPrefixes, word) || Contains(kRepeatNotEqual, word);
  }

  void Translate(Instruction& instruction) {
    const std::string& name = instruction.mnemonic;
    if (name == "ret" || name == "retq") return Return(instruction);
    if (IsBranch(name)) return Branch(instruction);
    if (name == "leave" || name == "leaveq") {
      Line("movl", "%ebp, %esp");
      Line("popq", "%rbp");
      return;
    }
    if (Contains(kNoEffect, name)) return;
    if (name.starts_with("nop")) {
      if (!instruction.repeat) Line("nop");
      return;
    }
    if (name == "ffreep") return Line("fstp", statement_->rest);  // the documented way to pop
    if (IsStringOperation(name) && HasOnlyImplicitOperands(instruction)) return String(instruction);
    if ((name == "bsf" || name == "bsfl" || name == "bsfq") && instruction.repeat) {
      // gcc writes tzcnt like this where an older processor's bsf does as well.
      instruction.repeat = false;
    }
    if (instruction.repeat || instruction.repeat_not_equal) {
      return Problem("a repeat prefix before an instruction that does not repeat");
    }
    if (name.starts_with("xchg") && TouchesMemory(instruction)) return Exchange(instruction);
    if (WritesStackPointer(instruction)) return WriteStackPointer(instruction);
    Plain(instruction);
  }

  void Return(const Instruction& instruction) {
    if (!instruction.operands.empty()) return Problem("a return cannot pop arguments");
    bundle_.Group({kReturnMask, "ret"});
  }

  void Branch(const Instruction& instruction) {
    const std::string& name = instruction.mnemonic;
    const bool call = name.starts_with("call");
    if (instruction.operands.size() != 1) return Problem("a branch has one operand");
    const Operand& target = instruction.operands[0];
    if (!target.indirect && target.kind == OperandKind::kMemory && target.base.empty() &&
        target.index.empty() && target.segment.empty()) {
      return DirectBranch(name, target, call);
    }
    if (!call && name != "jmp" && name != "jmpq") return Problem("the target is not a label");
    if (!target.indirect) return Problem("the target is not a label; an indirect one has a '*'");
    if (target.kind == OperandKind::kRegister) return IndirectBranch(call, target.reg);
    // r11 belongs to nobody at a call and at a tail call.
    const auto memory = ConfineMemory(target);
    if (!memory) return Problem(memory.error().message);
    Line("movl", *memory + ", %r11d");
    IndirectBranch(call, "r11");
  }

  void DirectBranch(const std::string& name, const Operand& target, bool call) {
    if (target.text == "." || target.text.starts_with(".+") || target.text.starts_with(".-") ||
        target.text.starts_with(". ")) {
      return Problem("a branch to a byte count cannot survive rewriting; use a label");
    }
    if (ConstantValue(target.text)) {
      if (!call && name != "jmp" && name != "jmpq") return Problem("the target is not a label");
      Line("movl", "$" + std::string(target.text) + ", %r11d");
      return IndirectBranch(call, "r11");
    }
    const std::string line = name + "\t" + std::string(target.text);
    if (call) {
      bundle_.GroupAtEnd({line});
    } else {
      Line(line);
    }
  }

  void IndirectBranch(bool call, std::string_view reg) {
    const std::string low = Low32(reg);
    if (low.empty() || IsStackPointer(low)) return Problem("the target register cannot be masked");
    const std::string mask = "andl\t$-32, %" + low;
    const std::string branch = (call ? "call\t*%" : "jmp\t*%") + std::string(reg);
    if (call) {
      bundle_.GroupAtEnd({mask, branch});
    } else {
      bundle_.Group({mask, branch});
    }
  }

  static bool HasOnlyImplicitOperands(const Instruction& instruction) {
    return std::ranges::all_of(instruction.operands,
                               [](const Operand& operand) {
                                 if (operand.kind == OperandKind::kRegister) {
                                   return operand.reg == "al" || operand.reg == "ax" ||
                                          operand.reg == "eax" || operand.reg == "rax";
                                 }
                                 return operand.kind == OperandKind::kMemory &&
                                        operand.displacement.empty() && operand.index.empty() &&
                                        (operand.base == "rsi" || operand.base == "rdi" ||
                                         operand.base == "esi" || operand.base == "edi");
                               }) &&
           (instruction.operands.empty() ||
            std::ranges::any_of(instruction.operands, [](const Operand& operand) {
              return operand.kind == OperandKind::kMemory;
            }));
  }

  void String(const Instruction& instruction) {
    for (const Operand& operand : instruction.operands) {
      if (!operand.segment.empty() && operand.segment != "es" && operand.segment != "ds") {
        return Problem("a guest has no segments");
      }
    }
    std::string line = "addr32 ";
    if (instruction.repeat) line += "rep ";
    if (instruction.repeat_not_equal) line += "repne ";
    bundle_.Group({line + instruction.mnemonic});
  }

  static bool TouchesMemory(const Instruction& instruction) {
    return std::ranges::any_of(instruction.operands, [](const Operand& operand) {
      return operand.kind == OperandKind::kMemory;
    });
  }

  // xchg with memory locks the bus whether asked or not. One thread needs no lock, and flags and
  // all other registers must stay, so a register is put aside in memory meanwhile.
  void Exchange(const Instruction& instruction) {
    if (instruction.operands.size() != 2) return Problem("xchg has two operands");
    const bool memory_first = instruction.operands[0].kind == OperandKind::kMemory;
    const Operand& memory = instruction.operands[memory_first ? 0 : 1];
    const Operand& reg = instruction.operands[memory_first ? 1 : 0];
    if (reg.kind != OperandKind::kRegister || IsStackPointer(reg.reg)) {
      return Problem("xchg needs a register that is not the stack pointer");
    }
    const auto address = ConfineMemory(memory);
    if (!address) return Problem(address.error().message);
    for (const std::string_view spare : {"r11", "r10", "r9"}) {
      const std::string low = Low32(spare);
      if (Low32(memory.base) == low || Low32(memory.index) == low || reg.reg.starts_with(spare)) {
        continue;
      }
      const std::string width = AtWidthOf(reg.reg, spare);
      if (width.empty()) return Problem("this register cannot be exchanged with memory");
      const std::string name(reg.reg);
      Move("movq", "%" + std::string(spare), kSpare);
      Move("mov", *address, "%" + width);
      Move("mov", "%" + name, *address);
      Move("mov", "%" + width, "%" + name);
      Move("movq", kSpare, "%" + std::string(spare));
      uses_spare_ = true;
      return;
    }
  }

  void Move(std::string_view mnemonic, std::string_view from, std::string_view to) {
    std::string operands(from);
    operands += ", ";
    operands += to;
    Line(mnemonic, operands);
  }

  static bool WritesStackPointer(const Instruction& instruction) {
    const std::string& name = instruction.mnemonic;
    if (instruction.operands.empty()) return false;
    if (name.starts_with("xchg") || name.starts_with("xadd") || name.starts_with("cmpxchg") ||
        name.starts_with("mulx")) {
      return std::ranges::any_of(
          instruction.operands, [](const Operand& operand) { return IsStackPointer(operand.reg); });
    }
    if (name.starts_with("cmp") || name.starts_with("test") || name.starts_with("push"))
      return false;
    return IsStackPointer(instruction.operands.back().reg);
  }

  // A write of 32 bits clears the upper half, so rsp stays in the low 4 GiB.
  void WriteStackPointer(const Instruction& instruction) {
    static constexpr std::array<std::string_view, 5> kAllowed = {"mov", "add", "sub", "and", "or"};
    const std::string& name = instruction.mnemonic;
    const std::string_view to = instruction.operands.back().reg;
    if (to != "rsp" && to != "esp") return Problem("a part of the stack pointer is written");
    if ((name == "pop" || name == "popq") && to == "rsp") return Line("movl", "(%rsp), %esp");
    std::string_view stem = name;
    if (stem.ends_with('q') || (stem.ends_with('l') && to == "esp")) stem.remove_suffix(1);
    if (instruction.operands.size() != 2 || (stem != "lea" && !Contains(kAllowed, stem))) {
      return Problem(
          "the stack pointer can be written by mov, lea, add, sub, and, or, push and pop only");
    }
    const Operand& from = instruction.operands[0];
    std::string source;
    if (stem == "lea") {
      source = DropThreadLocalSuffixes(from.text);
    } else if (from.kind == OperandKind::kRegister) {
      source = Low32(from.reg);
      if (source.empty()) return Problem("the source must be a general register");
      source.insert(0, "%");
    } else if (from.kind == OperandKind::kImmediate) {
      source = Immediate32(from);
    } else {
      const auto memory = ConfineMemory(from);
      if (!memory) return Problem(memory.error().message);
      source = *memory;
    }
    Line(std::string(stem) + "l", source + ", %esp");
  }

  static std::string Immediate32(const Operand& operand) {
    if (const auto value = ConstantValue(operand.displacement)) {
      const auto low = static_cast<std::uint32_t>(static_cast<std::uint64_t>(*value));
      return "$" + std::to_string(static_cast<std::int32_t>(low));
    }
    return std::string(operand.text);
  }

  // Everything else: the instruction stays, its memory operands are confined.
  void Plain(const Instruction& instruction) {
    std::string mnemonic = instruction.mnemonic;
    const bool address_only = mnemonic.starts_with("lea");
    if (mnemonic.starts_with("movabs") && TouchesMemory(instruction)) mnemonic.erase(3, 3);
    std::string line;
    for (const Operand& operand : instruction.operands) {
      line += line.empty() ? "" : ", ";
      if (operand.text.find("@tls") != std::string_view::npos ||
          operand.text.find("@TLS") != std::string_view::npos) {
        return Problem("position-independent thread-local code; compile without -fPIC");
      }
      if (operand.kind == OperandKind::kRegister) {
        line += operand.text;
      } else if (operand.kind == OperandKind::kImmediate) {
        line += DropThreadLocalSuffixes(operand.text);
      } else if (const auto value = ThreadLocalValue(operand); !value.empty()) {
        line += value;
      } else if (address_only) {
        if (!operand.segment.empty()) return Problem("a guest has no segments");
        line += DropThreadLocalSuffixes(operand.text);
      } else {
        const auto memory = ConfineMemory(operand);
        if (!memory) return Problem(memory.error().message);
        line += *memory;
      }
    }
    Line(mnemonic, line);
  }

  // The thread pointer itself, %fs:0, is 0; a slot that would hold a variable's distance from it,
  // its address. Empty for any other operand.
  static std::string ThreadLocalValue(const Operand& operand) {
    if (operand.segment == "fs" && operand.base.empty() && operand.index.empty() &&
        ConstantValue(operand.displacement) == 0) {
      return "$0";
    }
    for (const std::string_view suffix : {"@gottpoff", "@GOTTPOFF"}) {
      const std::size_t at = operand.displacement.find(suffix);
      if (at != std::string_view::npos)
        return "$" + std::string(operand.displacement.substr(0, at));
    }
    return {};
  }

  const Assembly& assembly_;
  const std::vector<bool> bundle_labels_;
  const Statement* statement_ = nullptr;
  SectionTracker section_;
  std::vector<std::string> prefixes_;  // of the next instruction
  std::string out_;
  BundleWriter bundle_;
  std::string problems_;
  int problem_count_ = 0;
  std::uint32_t expected_line_ = 0;
  std::uint32_t marked_file_ = 0;
  bool has_line_info_ = false;
  bool needs_level3_ = false;
  bool uses_spare_ = false;
};

}  // namespace

Result<Rewritten> Rewrite(std::string_view text, std::string_view file) {
  const auto assembly = Lex(text, file);
  if (!assembly) return Fail(assembly);
  return Rewriter(*assembly).Run();
}

}  // namespace zerocloud::toolchain
