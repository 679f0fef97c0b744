#include "sandbox/proof/corpus.h"

#include <elf.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <iterator>
#include <span>

#include "sandbox/verifier/decoder.h"
#include "sandbox/verifier/verify_core.h"

namespace zerocloud::proof {
namespace {

template <typename T>
T At(const std::vector<char>& file, std::size_t offset) {
  T value{};
  if (offset + sizeof value <= file.size()) std::memcpy(&value, file.data() + offset, sizeof value);
  return value;
}

struct Extent {
  std::size_t offset = 0, size = 0;
};

Extent FindText(const std::vector<char>& file) {
  const auto header = At<Elf64_Ehdr>(file, 0);
  for (std::size_t k = 0; k < header.e_phnum; ++k) {
    const auto segment = At<Elf64_Phdr>(file, header.e_phoff + k * sizeof(Elf64_Phdr));
    if (segment.p_type == PT_LOAD && (segment.p_flags & PF_X) != 0)
      return {segment.p_offset, segment.p_filesz};
  }
  for (std::size_t k = 0; k < header.e_shnum; ++k) {
    const auto section = At<Elf64_Shdr>(file, header.e_shoff + k * sizeof(Elf64_Shdr));
    if (section.sh_type == SHT_PROGBITS && (section.sh_flags & SHF_EXECINSTR) != 0 &&
        section.sh_size > 0)
      return {section.sh_offset, section.sh_size};
  }
  return {};
}

// Nasty things to find in a program, and masks to find before them.
const std::vector<Bytes>& Smuggled() {
  static const std::vector<Bytes> instructions = {
      {0x0F, 0x05},                                            // syscall
      {0xCD, 0x80},                                            // int $0x80
      {0x48, 0x89, 0x03},                                      // mov %rax,(%rbx)
      {0x48, 0x8B, 0x06},                                      // mov (%rsi),%rax
      {0x65, 0x48, 0x8B, 0x00},                                // mov %gs:(%rax),%rax
      {0x64, 0x67, 0x8B, 0x00},                                // mov %fs:(%eax),%eax
      {0x48, 0x89, 0xC4},                                      // mov %rax,%rsp
      {0x48, 0x01, 0xDC},                                      // add %rbx,%rsp
      {0x5C},                                                  // pop %rsp
      {0xFF, 0xE0},                                            // jmp *%rax
      {0xFF, 0xD3},                                            // call *%rbx
      {0xC3},                                                  // ret
      {0xF3, 0xC3},                                            // rep ret
      {0xF3, 0xA4},                                            // rep movsb
      {0xAA},                                                  // stosb
      {0x48, 0xAB},                                            // stosq
      {0x83, 0xE0, 0xE0, 0xFF, 0xE0},                          // and $-32,%eax; jmp *%rax
      {0x83, 0xE1, 0xE0, 0xFF, 0xE0},                          // the wrong register
      {0x48, 0x83, 0xE0, 0xE0, 0xFF, 0xE0},                    // the wrong width
      {0x48, 0x81, 0x24, 0x24, 0xE0, 0xFF, 0xFF, 0x7F, 0xC3},  // the masked return
      {0x8E, 0xE0},                                            // mov %eax,%fs
      {0xF3, 0x48, 0x0F, 0xAE, 0xD0},                          // wrfsbase %rax
      {0x48, 0x8B, 0x84, 0x24, 0, 0, 0, 0x80},                 // mov -2G(%rsp),%rax
      {0x48, 0x8B, 0x05, 0, 0, 0, 0x80},                       // mov -2G(%rip),%rax
      {0x48, 0xA3, 0, 0, 0, 0, 0, 0x7F, 0, 0},                 // movabs %rax,high
      {0x0F, 0xAB, 0x08},                                      // bts %ecx,(%rax)
      {0xEB, 0x01},                                            // jmp .+3
      {0xC4, 0xE2, 0x79, 0x90, 0x04, 0x08},                    // vpgatherdd
      {0x62, 0xF1, 0x7C, 0x48, 0x10, 0x00},                    // vmovups (%rax),%zmm0
      {0x66, 0xE9, 0, 0, 0, 0},                                // data16 jmp
      {0x67, 0x48, 0x89, 0x03},                                // mov %rax,(%ebx), which is fine
      {0x48, 0x0F, 0xC7, 0x0B},                                // cmpxchg16b (%rbx)
      {0xC8, 0x10, 0x00, 0x00},                                // enter
      {0xC9},                                                  // leave
      {0xD7},                                                  // xlat
      {0xF4},                                                  // hlt
  };
  return instructions;
}

struct Branch {
  std::size_t at, end;
  std::size_t field, field_size;  // of the distance
};

bool IsDirectBranch(const verifier::Instruction& i) {
  if (i.space == verifier::Space::k0F) return (i.opcode & 0xF0) == 0x80;
  return i.space == verifier::Space::kOne &&
         ((i.opcode & 0xF0) == 0x70 || i.opcode == 0xE8 || i.opcode == 0xE9 || i.opcode == 0xEB);
}

}  // namespace

Bytes ReadText(const std::string& path) {
  std::ifstream stream(path, std::ios::binary);
  const std::vector<char> file{std::istreambuf_iterator<char>(stream), {}};
  const Extent extent = FindText(file);
  if (extent.size == 0 || extent.offset + extent.size > file.size()) return {};
  const auto part = std::span(file).subspan(extent.offset, extent.size);
  Bytes text(part.begin(), part.end());
  const std::size_t bundle = verifier::kBundleSize;
  text.resize((text.size() + bundle - 1) / bundle * bundle, 0xCC);
  return text;
}

std::vector<bool> FindStarts(const Bytes& code) {
  std::vector<bool> starts(code.size());
  Bytes padded = code;
  padded.resize(code.size() + verifier::kDecodeWindow);
  for (std::size_t at = 0; at < code.size();) {
    starts[at] = true;
    verifier::Instruction instruction;
    if (verifier::Decode(padded.data() + at, instruction)) {
      at += instruction.length;
    } else {
      at = (at / verifier::kBundleSize + 1) * verifier::kBundleSize;
    }
  }
  return starts;
}

std::uint64_t CountNew(const Bytes& old, const std::vector<bool>& old_starts, const Bytes& code,
                       const std::vector<bool>& starts) {
  std::uint64_t count = 0;
  bool is_new = false;  // the instruction at hand, as far as it was seen
  for (std::size_t at = 0; at < code.size(); ++at) {
    if (starts[at]) {
      count += is_new ? 1 : 0;
      is_new = false;
    }
    is_new |= code[at] != old[at] || starts[at] != old_starts[at];
  }
  return count + (is_new ? 1 : 0);
}

Corpus::Corpus(const std::vector<std::string>& paths) {
  for (const std::string& path : paths) {
    texts_.push_back(ReadText(path));
    if (!texts_.back().empty()) continue;
    std::fprintf(stderr, "proof: %s has no text\n", path.c_str());
    std::exit(2);
  }
  if (texts_.empty()) {
    std::fputs("proof: name programs to mutate\n", stderr);
    std::exit(2);
  }
}

Bytes Corpus::PickSnippet(std::mt19937_64& random) const {
  const std::size_t bundle = verifier::kBundleSize;
  const Bytes& text = texts_[random() % texts_.size()];
  const std::size_t whole = text.size() / bundle;
  const std::size_t count = std::min<std::size_t>(whole, 4 + random() % 21);
  const std::size_t first = random() % (whole - count + 1);
  Bytes code(text.begin() + static_cast<std::ptrdiff_t>(first * bundle),
             text.begin() + static_cast<std::ptrdiff_t>((first + count) * bundle));

  // Where instructions start that are not the second of a pair: any but branches by register, and
  // returns.
  const std::vector<bool> starts = FindStarts(code);
  Bytes padded = code;
  padded.resize(code.size() + verifier::kDecodeWindow);
  std::vector<Branch> branches;
  std::vector<std::size_t> targets;
  std::vector<bool> is_target(code.size());
  for (std::size_t at = 0; at < code.size(); ++at) {
    verifier::Instruction i;
    if (!starts[at] || !verifier::Decode(padded.data() + at, i)) continue;
    if (IsDirectBranch(i)) {
      const std::size_t end = at + i.length;
      branches.push_back({at, end, at + i.header_length, std::size_t{i.length} - i.header_length});
    }
    if (code[at] == 0xFF || code[at] == 0xC3 || (at > 0 && code[at - 1] == 0x41)) continue;
    targets.push_back(at);
    is_target[at] = true;
  }
  for (const Branch& branch : branches) {
    std::int32_t distance = 0;
    std::memcpy(&distance, code.data() + branch.field, branch.field_size);
    if (branch.field_size == 1 && distance >= 0x80) distance -= 0x100;
    const auto old = static_cast<std::uint64_t>(static_cast<std::int64_t>(branch.end) + distance);
    if (old < code.size() && is_target[old]) continue;
    std::vector<std::size_t> reachable;
    for (const std::size_t target : targets) {
      const auto way = static_cast<std::int64_t>(target) - static_cast<std::int64_t>(branch.end);
      if (branch.field_size == 4 || (way >= -128 && way < 128)) reachable.push_back(target);
    }
    if (reachable.empty()) continue;
    const std::size_t target = reachable[random() % reachable.size()];
    const auto way = static_cast<std::int32_t>(static_cast<std::int64_t>(target) -
                                               static_cast<std::int64_t>(branch.end));
    std::memcpy(code.data() + branch.field, &way, branch.field_size);
  }
  return code;
}

void Mutate(Bytes& code, std::mt19937_64& random, std::vector<std::size_t>& bundles) {
  bundles.clear();
  const auto touch = [&](std::size_t at) { bundles.push_back(at / verifier::kBundleSize); };
  const std::vector<bool> starts = FindStarts(code);
  for (std::size_t changes = 1 + random() % 3; changes > 0; --changes) {
    std::size_t at = random() % code.size();
    switch (random() % 8) {
      case 0:  // where an instruction starts, one that we choose; often it has the room of the old
               // one
      case 1: {
        while (!starts[at]) --at;
        const Bytes& smuggled = Smuggled()[random() % Smuggled().size()];
        std::size_t end = at + 1;
        while (end < code.size() && !starts[end]) ++end;
        for (std::size_t k = 0; k < smuggled.size() && at + k < code.size(); ++k)
          code[at + k] = smuggled[k];
        for (std::size_t k = at + smuggled.size(); k < end; ++k) code[k] = 0x90;
        break;
      }
      case 2: {  // a prefix instead of the byte before an instruction
        while (!starts[at]) --at;
        constexpr unsigned char kPrefixes[] = {0x66, 0x67, 0xF2, 0xF3, 0x2E, 0x64,
                                               0x65, 0x48, 0x41, 0x44, 0x42, 0x40};
        code[at] = kPrefixes[random() % sizeof kPrefixes];
        break;
      }
      case 3:  // behind the prefix or opcode: a ModRM, SIB or opcode byte
        while (!starts[at]) --at;
        at = std::min(at + 1 + random() % 3, code.size() - 1);
        code[at] = static_cast<unsigned char>(random());
        break;
      case 4:
        code[at] = static_cast<unsigned char>(random());
        break;
      default:
        code[at] ^= static_cast<unsigned char>(1u << random() % 8);
        break;
    }
    touch(at);
    touch(std::min(at + 15, code.size() - 1));
  }
  std::ranges::sort(bundles);
  bundles.erase(std::ranges::unique(bundles).begin(), bundles.end());
}

}  // namespace zerocloud::proof
