// Builds ELF files for tests: a good guest program, to be spoiled in one place at a time.
#pragma once

#include <elf.h>

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <span>
#include <string>
#include <vector>

#include "sandbox/include/zvm.h"

namespace zerocloud::loader {

// A guest with one page each of text (at 0x400000), read-only data, and data with a page of bss.
// Change the headers and the note, then ask for the bytes.
struct ElfBuilder {
  static constexpr std::uint64_t kText = 0x400000, kRodata = 0x401000, kData = 0x402000;
  enum Header : std::size_t { kTextHeader, kRodataHeader, kDataHeader, kNoteHeader, kStackHeader };

  Elf64_Ehdr elf{};
  std::vector<Elf64_Phdr> headers;
  zvm_note note{ZVM_ABI_VERSION, 2};
  std::vector<std::byte> text = Bytes("\xf4");  // hlt
  std::vector<std::byte> rodata = Bytes("constant");
  std::vector<std::byte> data = Bytes("variable");
  bool has_symbols = true;

  ElfBuilder() {
    std::memcpy(elf.e_ident, ELFMAG, SELFMAG);
    elf.e_ident[EI_CLASS] = ELFCLASS64;
    elf.e_ident[EI_DATA] = ELFDATA2LSB;
    elf.e_ident[EI_VERSION] = EV_CURRENT;
    elf.e_type = ET_EXEC;
    elf.e_machine = EM_X86_64;
    elf.e_version = EV_CURRENT;
    elf.e_entry = kText;
    elf.e_phoff = sizeof elf;
    elf.e_ehsize = sizeof elf;
    elf.e_phentsize = sizeof(Elf64_Phdr);
    elf.e_shentsize = sizeof(Elf64_Shdr);
    Add(PT_LOAD, PF_R | PF_X, 0x1000, kText, text.size(), text.size());
    Add(PT_LOAD, PF_R, 0x2000, kRodata, rodata.size(), rodata.size());
    Add(PT_LOAD, PF_R | PF_W, 0x3000, kData, data.size(), 0x1800);
    Add(PT_NOTE, PF_R, 0x800, 0, 24, 24);
    Add(PT_GNU_STACK, PF_R | PF_W, 0, 0, 0, 0);
  }

  Elf64_Phdr& Add(std::uint32_t type, std::uint32_t flags, std::uint64_t offset,
                  std::uint64_t address, std::uint64_t file_size, std::uint64_t memory_size) {
    return headers.emplace_back(
        Elf64_Phdr{type, flags, offset, address, address, file_size, memory_size, 0x1000});
  }

  // The text, with its program header made to fit.
  void SetText(std::vector<std::byte> bytes) {
    text = std::move(bytes);
    headers[kTextHeader].p_filesz = headers[kTextHeader].p_memsz = text.size();
  }

  static std::vector<std::byte> Bytes(const std::string& bytes) {
    std::vector<std::byte> result(bytes.size());
    std::ranges::transform(bytes, result.begin(), [](char c) { return static_cast<std::byte>(c); });
    return result;
  }

  [[nodiscard]] std::vector<std::byte> Build() const {
    std::vector<std::byte> file(0x3000 + data.size());
    const auto put = [&file](std::size_t at, const void* from, std::size_t size) {
      if (file.size() < at + size) file.resize(at + size);
      if (size != 0) std::memcpy(file.data() + at, from, size);
    };
    put(0x1000, text.data(), text.size());
    put(0x2000, rodata.data(), rodata.size());
    put(0x3000, data.data(), data.size());
    const Elf64_Nhdr note_header{sizeof ZVM_NOTE_NAME, sizeof note, ZVM_NOTE_TYPE};
    put(0x800, &note_header, sizeof note_header);
    put(0x800 + sizeof note_header, ZVM_NOTE_NAME, sizeof ZVM_NOTE_NAME);
    put(0x800 + sizeof note_header + sizeof ZVM_NOTE_NAME, &note, sizeof note);
    Elf64_Ehdr header = elf;
    if (header.e_phnum == 0) header.e_phnum = static_cast<Elf64_Half>(headers.size());
    put(sizeof header, headers.data(), headers.size() * sizeof(Elf64_Phdr));
    if (has_symbols) {
      const std::string names("\0main\0tail\0", 11);
      const Elf64_Sym symbols[] = {{},
                                   {1, ELF64_ST_INFO(STB_GLOBAL, STT_FUNC), 0, 1, kText, 16},
                                   {6, ELF64_ST_INFO(STB_LOCAL, STT_NOTYPE), 0, 1, kText + 32, 0}};
      const std::size_t strings_at = 0x4000, symbols_at = 0x4010, sections_at = 0x4080;
      put(strings_at, names.data(), names.size());
      put(symbols_at, symbols, sizeof symbols);
      Elf64_Shdr sections[3] = {};
      sections[1].sh_type = SHT_SYMTAB;
      sections[1].sh_offset = symbols_at;
      sections[1].sh_size = sizeof symbols;
      sections[1].sh_entsize = sizeof(Elf64_Sym);
      sections[1].sh_link = 2;
      sections[2].sh_type = SHT_STRTAB;
      sections[2].sh_offset = strings_at;
      sections[2].sh_size = names.size();
      put(sections_at, sections, sizeof sections);
      header.e_shoff = sections_at;
      header.e_shnum = 3;
    }
    put(0, &header, sizeof header);
    return file;
  }
};

}  // namespace zerocloud::loader
