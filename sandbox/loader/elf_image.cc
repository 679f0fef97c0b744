#include "sandbox/loader/elf_image.h"

#include <elf.h>
#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <optional>
#include <string_view>
#include <type_traits>

#include "sandbox/include/zvm.h"
#include "sandbox/verifier/verifier.h"

namespace zerocloud::loader {
namespace {

constexpr std::string_view kHowToBuild =
    "A guest is built with zvm-cc: zvm-cc -O2 -o program program.c";

std::unexpected<Error> Reject(std::string_view what) {
  return Fail(ErrorCode::kRejectedCode, std::string(what));
}

// For files that are no guest at all.
std::unexpected<Error> RejectFile(std::string_view what) {
  return Reject(fmt::format("the file is {}. {}", what, kHowToBuild));
}

// A T at `offset`, or nothing if it is not wholly in the file.
template <typename T>
std::optional<T> Read(std::span<const std::byte> file, std::uint64_t offset) {
  static_assert(std::is_trivially_copyable_v<T>);
  if (offset > file.size() || file.size() - offset < sizeof(T)) return std::nullopt;
  T value;
  std::memcpy(&value, file.data() + offset, sizeof value);
  return value;
}

constexpr std::uint64_t PageUp(std::uint64_t value) {
  return (value + kPageSize - 1) / kPageSize * kPageSize;
}

std::string_view MachineName(unsigned machine) {
  switch (machine) {
    case EM_386:
      return "i386";
    case EM_ARM:
      return "32-bit ARM";
    case EM_AARCH64:
      return "AArch64";
    case EM_RISCV:
      return "RISC-V";
    case EM_PPC64:
      return "PowerPC";
    case EM_S390:
      return "S/390";
    default:
      return "another machine";
  }
}

std::string_view SegmentName(std::uint32_t type) {
  switch (type) {
    case PT_INTERP:
      return "PT_INTERP";
    case PT_DYNAMIC:
      return "PT_DYNAMIC";
    case PT_TLS:
      return "PT_TLS";
    case PT_GNU_EH_FRAME:
      return "PT_GNU_EH_FRAME";
    case PT_GNU_RELRO:
      return "PT_GNU_RELRO";
    case PT_GNU_PROPERTY:
      return "PT_GNU_PROPERTY";
    case PT_PHDR:
      return "PT_PHDR";
    case PT_SHLIB:
      return "PT_SHLIB";
    default:
      return "";
  }
}

class Parser {
 public:
  explicit Parser(std::span<const std::byte> file) : file_(file) {}

  Result<ElfImage> Parse() {
    if (const auto read = ReadHeader(); !read) return Fail(read);
    if (const auto read = ReadProgramHeaders(); !read) return Fail(read);
    if (const auto is_guest = CheckIsGuest(); !is_guest) return Fail(is_guest);
    for (std::size_t k = 0; k < headers_.size(); ++k) {
      if (const auto added = AddHeader(k); !added) return Fail(added);
    }
    return Finish();
  }

 private:
  Result<bool> ReadHeader() {
    if (file_.size() < SELFMAG || std::memcmp(file_.data(), ELFMAG, SELFMAG) != 0) {
      return RejectFile(file_.empty() ? "empty" : "no ELF file");
    }
    if (file_.size() < EI_NIDENT) return RejectFile("a truncated ELF file");
    const auto ident = [this](std::size_t k) { return std::to_integer<unsigned>(file_[k]); };
    if (ident(EI_CLASS) != ELFCLASS64) return RejectFile("no 64-bit program");
    if (ident(EI_DATA) != ELFDATA2LSB) return RejectFile("a big-endian program");
    const auto header = Read<Elf64_Ehdr>(file_, 0);
    if (!header) return RejectFile("a truncated ELF file");
    header_ = *header;
    if (header_.e_machine != EM_X86_64) {
      return RejectFile(fmt::format("a program for {} (ELF machine {})",
                                    MachineName(header_.e_machine), header_.e_machine));
    }
    if (header_.e_type == ET_REL) return RejectFile("an object file, not yet linked");
    if (header_.e_type == ET_CORE) return RejectFile("a core dump");
    if (ident(EI_VERSION) != EV_CURRENT || header_.e_version != EV_CURRENT) {
      return Reject("the ELF version is not 1");
    }
    return true;
  }

  Result<bool> ReadProgramHeaders() {
    if (header_.e_phnum == 0) return Reject("the ELF file has no program headers");
    if (header_.e_phentsize != sizeof(Elf64_Phdr)) {
      return Reject(fmt::format("program headers of {} bytes; ELF64 has {}", header_.e_phentsize,
                                sizeof(Elf64_Phdr)));
    }
    if (header_.e_phnum > kMaxProgramHeaders) {
      return Reject(
          fmt::format("{} program headers; the limit is {}", header_.e_phnum, kMaxProgramHeaders));
    }
    for (std::uint64_t k = 0; k < header_.e_phnum; ++k) {
      if (header_.e_phoff > file_.size()) return RejectFile("a truncated ELF file");
      const auto header = Read<Elf64_Phdr>(file_, header_.e_phoff + k * sizeof(Elf64_Phdr));
      if (!header) return RejectFile("a truncated ELF file");
      headers_.push_back(*header);
    }
    return true;
  }

  [[nodiscard]] bool HasHeader(std::uint32_t type) const {
    return std::ranges::any_of(headers_, [type](const auto& h) { return h.p_type == type; });
  }

  // Tells a program for the host from one that was meant to be a guest.
  Result<bool> CheckIsGuest() {
    if (HasHeader(PT_INTERP)) {
      return RejectFile("a Linux program (dynamically linked, x86-64)");
    }
    if (header_.e_type == ET_DYN) {
      return RejectFile(HasHeader(PT_DYNAMIC)
                            ? "a shared library or a position-independent Linux program (x86-64)"
                            : "position-independent (x86-64)");
    }
    if (header_.e_type != ET_EXEC) {
      return Reject(fmt::format("ELF type {}; a guest is {} (ET_EXEC)", header_.e_type, ET_EXEC));
    }
    if (HasHeader(PT_DYNAMIC)) return RejectFile("a Linux program (dynamically linked, x86-64)");
    if (const auto found = FindNote(); !found) return Fail(found);
    if (!note_) {
      return RejectFile("a Linux program (statically linked, x86-64): it has no ZVM note");
    }
    if (note_->abi_version != ZVM_ABI_VERSION) {
      return Reject(fmt::format("the program is for guest ABI {}; this host has {}: build it again",
                                note_->abi_version, ZVM_ABI_VERSION));
    }
    if (note_->isa_level != 2 && note_->isa_level != 3) {
      return Reject(fmt::format("the ZVM note asks for x86-64 level {}; there are 2 and 3",
                                note_->isa_level));
    }
    isa_level_ = note_->isa_level;
    return true;
  }

  // A program header's part of the file.
  Result<std::span<const std::byte>> FilePart(const Elf64_Phdr& header, std::size_t index) {
    if (header.p_offset > file_.size() || header.p_filesz > file_.size() - header.p_offset) {
      return Reject(
          fmt::format("program header {} needs bytes {:#x} to {:#x}, but the file ends at "
                      "{:#x}: it is truncated",
                      index, header.p_offset, header.p_offset + header.p_filesz, file_.size()));
    }
    return file_.subspan(header.p_offset, header.p_filesz);
  }

  Result<bool> FindNote() {
    for (std::size_t k = 0; k < headers_.size(); ++k) {
      if (headers_[k].p_type != PT_NOTE) continue;
      const auto notes = FilePart(headers_[k], k);
      if (!notes) return Fail(notes);
      if (const auto read = ReadNotes(*notes); !read) return Fail(read);
    }
    return true;
  }

  Result<bool> ReadNotes(std::span<const std::byte> notes) {
    const auto round_up = [](std::uint64_t size) { return (size + 3) / 4 * 4; };
    for (std::uint64_t at = 0; at < notes.size();) {
      const auto header = Read<Elf64_Nhdr>(notes, at);
      if (!header) return Reject("a note is cut off");
      const std::uint64_t name = at + sizeof(Elf64_Nhdr);
      const std::uint64_t descriptor = name + round_up(header->n_namesz);
      const std::uint64_t end = descriptor + round_up(header->n_descsz);
      if (end > notes.size()) return Reject("a note is cut off");
      if (header->n_type == ZVM_NOTE_TYPE && header->n_namesz == sizeof ZVM_NOTE_NAME &&
          std::memcmp(notes.data() + name, ZVM_NOTE_NAME, sizeof ZVM_NOTE_NAME) == 0) {
        if (note_) return Reject("there is more than one ZVM note");
        if (header->n_descsz != sizeof(zvm_note)) {
          return Reject(fmt::format("the ZVM note has {} bytes; it must have {}", header->n_descsz,
                                    sizeof(zvm_note)));
        }
        note_ = Read<zvm_note>(notes, descriptor);
      }
      at = end;
    }
    return true;
  }

  Result<bool> AddHeader(std::size_t index) {
    const Elf64_Phdr& header = headers_[index];
    switch (header.p_type) {
      case PT_NULL:
        return true;
      case PT_LOAD:
        return AddSegment(index);
      case PT_NOTE:
        if (header.p_flags != PF_R) {
          return Reject(fmt::format("program header {} (PT_NOTE) must be read-only", index));
        }
        return true;
      case PT_GNU_STACK:
        if ((header.p_flags & PF_X) != 0) return Reject("the program wants an executable stack");
        return true;
      default:
        break;
    }
    const std::string_view name = SegmentName(header.p_type);
    return Reject(
        fmt::format("program header {} has type {:#x}{}{}{}; a guest has only PT_LOAD, "
                    "PT_NOTE and PT_GNU_STACK",
                    index, header.p_type, name.empty() ? "" : " (", name, name.empty() ? "" : ")"));
  }

  static std::optional<Protection> ProtectionOf(std::uint32_t flags) {
    switch (flags) {
      case PF_R:
        return Protection::kRead;
      case PF_R | PF_X:
        return Protection::kReadExecute;
      case PF_R | PF_W:
        return Protection::kReadWrite;
      default:
        return std::nullopt;
    }
  }

  Result<bool> AddSegment(std::size_t index) {
    const Elf64_Phdr& header = headers_[index];
    const auto reject = [index](std::string_view what) {
      return Reject(fmt::format("segment {} {}", index, what));
    };
    if (header.p_memsz == 0 && header.p_filesz == 0) return true;  // a linker script left it empty
    if (const auto part = FilePart(header, index); !part) return Fail(part);
    const auto protection = ProtectionOf(header.p_flags);
    if (!protection) {
      return reject(fmt::format("has flags {:#x}: segments are R, RX or RW", header.p_flags));
    }
    if (header.p_filesz > header.p_memsz) return reject("is larger in the file than in memory");
    if (header.p_vaddr % kPageSize != 0 || header.p_offset % kPageSize != 0) {
      return reject(fmt::format("starts at {:#x} (file {:#x}), not at a page of {} bytes",
                                header.p_vaddr, header.p_offset, kPageSize));
    }
    const bool is_text = *protection == Protection::kReadExecute;
    const std::uint64_t limit = is_text ? verifier::kCodeLimit : ZVM_STACK_ADDRESS;
    if (header.p_vaddr < ZVM_IMAGE_ADDRESS || header.p_vaddr > limit ||
        header.p_memsz > limit - header.p_vaddr) {
      return reject(fmt::format("at {:#x}, {:#x} bytes, is not between {:#x} and {:#x}",
                                header.p_vaddr, header.p_memsz, ZVM_IMAGE_ADDRESS, limit));
    }
    std::vector<Segment>& segments = image_.layout.segments;
    if (segments.size() == kMaxSegments) {
      return reject(fmt::format("is too many: the limit is {}", kMaxSegments));
    }
    if (!segments.empty() && header.p_vaddr < image_.layout.image_end) {
      return reject(
          fmt::format("at {:#x} overlaps or precedes the one before it, which ends at {:#x}",
                      header.p_vaddr, image_.layout.image_end));
    }
    if (is_text) {
      if (image_.layout.text_size != 0) return reject("is a second executable one");
      if (header.p_filesz != header.p_memsz) return reject("is executable but not all in the file");
    }
    AppendSegment(header, *protection);
    return true;
  }

  void AppendSegment(const Elf64_Phdr& header, Protection protection) {
    ImageLayout& layout = image_.layout;
    Segment segment;
    segment.address = header.p_vaddr;
    segment.size = PageUp(header.p_memsz);
    segment.memory_offset = layout.memory_file_size;
    segment.backed_size = PageUp(header.p_filesz);
    segment.protection = protection;
    layout.memory_file_size += segment.backed_size;
    layout.image_end = segment.address + segment.size;
    if (protection == Protection::kReadExecute) {
      layout.text_address = segment.address;
      layout.text_size = segment.size;
    }
    layout.segments.push_back(segment);
    image_.sources.push_back({header.p_offset, header.p_filesz});
  }

  Result<ElfImage> Finish() {
    ImageLayout& layout = image_.layout;
    if (layout.text_size == 0) return Reject("no segment is executable");
    layout.entry = header_.e_entry;
    layout.isa_level = isa_level_;
    if (layout.entry < layout.text_address ||
        layout.entry - layout.text_address >= layout.text_size) {
      return Reject(fmt::format("the entry point {:#x} is not in text, {:#x} to {:#x}",
                                layout.entry, layout.text_address,
                                layout.text_address + layout.text_size));
    }
    if (layout.entry % verifier::kBundleSize != 0) {
      return Reject(fmt::format("the entry point {:#x} is not at the start of a bundle of {} bytes",
                                layout.entry, verifier::kBundleSize));
    }
    return std::move(image_);
  }

  std::span<const std::byte> file_;
  Elf64_Ehdr header_{};
  std::vector<Elf64_Phdr> headers_;
  std::optional<zvm_note> note_;
  unsigned isa_level_ = 0;  // of the note
  ElfImage image_;
};

// The section header at `index`, if it and what it describes are in the file.
std::optional<Elf64_Shdr> ReadSection(std::span<const std::byte> file, const Elf64_Ehdr& header,
                                      std::uint64_t index) {
  if (header.e_shoff > file.size() || index >= header.e_shnum) return std::nullopt;
  const auto section = Read<Elf64_Shdr>(file, header.e_shoff + index * sizeof(Elf64_Shdr));
  if (!section || section->sh_offset > file.size() ||
      section->sh_size > file.size() - section->sh_offset) {
    return std::nullopt;
  }
  return section;
}

std::string SymbolName(std::span<const std::byte> names, std::uint32_t offset) {
  if (offset >= names.size()) return {};
  std::string name;
  for (const std::byte byte : names.subspan(offset)) {
    const char c = std::to_integer<char>(byte);
    if (c == '\0' || name.size() == kMaxSymbolName) break;
    name.push_back(0x20 < c && c < 0x7F ? c : '?');  // names go to terminals and logs
  }
  return name;
}

}  // namespace

Result<ElfImage> ParseElf(std::span<const std::byte> file) {
  if (file.size() > kMaxImageFileSize) {
    return Reject(
        fmt::format("the file has {} bytes; the limit is {}", file.size(), kMaxImageFileSize));
  }
  return Parser(file).Parse();
}

std::vector<Symbol> ReadSymbols(std::span<const std::byte> file, const ImageLayout& layout) {
  const auto header = Read<Elf64_Ehdr>(file, 0);
  if (!header || header->e_shentsize != sizeof(Elf64_Shdr)) return {};
  std::vector<Symbol> symbols;
  for (std::uint64_t k = 0; k < header->e_shnum; ++k) {
    const auto section = ReadSection(file, *header, k);
    if (!section || section->sh_type != SHT_SYMTAB || section->sh_entsize != sizeof(Elf64_Sym)) {
      continue;
    }
    const auto strings = ReadSection(file, *header, section->sh_link);
    if (!strings || strings->sh_type != SHT_STRTAB) continue;
    const auto names = file.subspan(strings->sh_offset, strings->sh_size);
    const std::uint64_t count = section->sh_size / sizeof(Elf64_Sym);
    for (std::uint64_t at = 0; at < count && symbols.size() < kMaxSymbols; ++at) {
      const auto entry = Read<Elf64_Sym>(file, section->sh_offset + at * sizeof(Elf64_Sym));
      if (!entry) break;
      const unsigned type = ELF64_ST_TYPE(entry->st_info);
      if ((type != STT_FUNC && type != STT_NOTYPE) || entry->st_value < layout.text_address ||
          entry->st_value - layout.text_address >= layout.text_size) {
        continue;
      }
      std::string name = SymbolName(names, entry->st_name);
      if (!name.empty()) symbols.push_back({entry->st_value, entry->st_size, std::move(name)});
    }
    break;
  }
  // Where several names have one address, the one with a size is the function.
  std::ranges::sort(symbols, [](const Symbol& a, const Symbol& b) {
    if (a.address != b.address) return a.address < b.address;
    return a.size != b.size ? a.size < b.size : a.name > b.name;
  });
  return symbols;
}

std::string Symbolize(std::span<const Symbol> symbols, std::uint64_t address) {
  const auto after = std::ranges::upper_bound(symbols, address, {}, &Symbol::address);
  if (after == symbols.begin()) return {};
  const Symbol& symbol = *(after - 1);
  if (symbol.size != 0 && address - symbol.address >= symbol.size) return {};
  if (address == symbol.address) return symbol.name;
  return fmt::format("{}+{:#x}", symbol.name, address - symbol.address);
}

}  // namespace zerocloud::loader
