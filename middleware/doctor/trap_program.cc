#include "middleware/doctor/trap_program.h"

#include <elf.h>

#include <array>
#include <cstdint>
#include <cstring>

#include "sandbox/include/zvm.h"

namespace zerocloud::doctor {
namespace {

constexpr std::uint64_t kPage = 0x1000;
constexpr std::uint64_t kText = 0x400000;
constexpr std::uint64_t kNote = 0x800;   // in the file
constexpr auto kTrap = std::byte{0xf4};  // hlt

}  // namespace

std::vector<std::byte> TrapProgram() {
  std::vector<std::byte> file(kPage + 1);
  const auto put = [&file](std::size_t at, const auto& value) {
    std::memcpy(file.data() + at, &value, sizeof value);
  };
  const auto segments = std::to_array<Elf64_Phdr>({
      {PT_LOAD, PF_R | PF_X, kPage, kText, kText, 1, 1, kPage},
      {PT_NOTE, PF_R, kNote, 0, 0, sizeof(Elf64_Nhdr) + sizeof ZVM_NOTE_NAME + sizeof(zvm_note),
       sizeof(Elf64_Nhdr) + sizeof ZVM_NOTE_NAME + sizeof(zvm_note), 4},
      {PT_GNU_STACK, PF_R | PF_W, 0, 0, 0, 0, 0, 16},
  });
  Elf64_Ehdr header{};
  std::memcpy(header.e_ident, ELFMAG, SELFMAG);
  header.e_ident[EI_CLASS] = ELFCLASS64;
  header.e_ident[EI_DATA] = ELFDATA2LSB;
  header.e_ident[EI_VERSION] = EV_CURRENT;
  header.e_type = ET_EXEC;
  header.e_machine = EM_X86_64;
  header.e_version = EV_CURRENT;
  header.e_entry = kText;
  header.e_phoff = sizeof header;
  header.e_ehsize = sizeof header;
  header.e_phentsize = sizeof(Elf64_Phdr);
  header.e_phnum = segments.size();
  header.e_shentsize = sizeof(Elf64_Shdr);
  put(0, header);
  put(sizeof header, segments);
  put(kNote, Elf64_Nhdr{sizeof ZVM_NOTE_NAME, sizeof(zvm_note), ZVM_NOTE_TYPE});
  std::memcpy(file.data() + kNote + sizeof(Elf64_Nhdr), ZVM_NOTE_NAME, sizeof ZVM_NOTE_NAME);
  put(kNote + sizeof(Elf64_Nhdr) + sizeof ZVM_NOTE_NAME, zvm_note{ZVM_ABI_VERSION, 2});
  file[kPage] = kTrap;
  return file;
}

}  // namespace zerocloud::doctor
