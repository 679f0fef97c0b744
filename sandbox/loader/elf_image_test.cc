#include "sandbox/loader/elf_image.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>
#include <random>

#include "sandbox/loader/elf_builder.h"

namespace zerocloud::loader {
namespace {

using testing::HasSubstr;

// What ParseElf says of a good guest that `spoil` changed.
std::string Refusal(const std::function<void(ElfBuilder&)>& spoil) {
  ElfBuilder builder;
  spoil(builder);
  const auto parsed = ParseElf(builder.Build());
  if (parsed) return "accepted";
  EXPECT_EQ(parsed.error().code, ErrorCode::kRejectedCode);
  return parsed.error().message;
}

TEST(ElfImage, LaysOutWholePages) {
  const auto parsed = ParseElf(ElfBuilder().Build());
  ASSERT_TRUE(parsed) << parsed.error().message;
  const ImageLayout& layout = parsed->layout;
  EXPECT_EQ(layout.entry, 0x400000u);
  EXPECT_EQ(layout.isa_level, 2u);
  EXPECT_EQ(layout.text_address, 0x400000u);
  EXPECT_EQ(layout.text_size, 0x1000u);
  EXPECT_EQ(layout.image_end, 0x404000u);
  EXPECT_EQ(layout.memory_file_size, 0x3000u);
  ASSERT_EQ(layout.segments.size(), 3u);
  const Segment& data = layout.segments[2];
  EXPECT_EQ(data.address, 0x402000u);
  EXPECT_EQ(data.size, 0x2000u);
  EXPECT_EQ(data.memory_offset, 0x2000u);
  EXPECT_EQ(data.backed_size, 0x1000u);
  EXPECT_EQ(data.protection, Protection::kReadWrite);
  EXPECT_EQ(layout.segments[0].protection, Protection::kReadExecute);
  EXPECT_EQ(layout.segments[1].protection, Protection::kRead);
  EXPECT_EQ(parsed->sources[1].file_offset, 0x2000u);
  EXPECT_EQ(parsed->sources[1].file_size, 8u);
}

TEST(ElfImage, SaysWhatAFileIsThatIsNoGuest) {
  const std::string how = "A guest is built with zvm-cc: zvm-cc -O2 -o program program.c";
  const auto parse = [](const std::string& bytes) {
    return ParseElf(ElfBuilder::Bytes(bytes)).error().message;
  };
  EXPECT_EQ(parse(""), "the file is empty. " + how);
  EXPECT_EQ(parse("#!/bin/sh\n"), "the file is no ELF file. " + how);
  EXPECT_EQ(parse("\x7f"
                  "ELF"),
            "the file is a truncated ELF file. " + how);
  EXPECT_EQ(Refusal([](auto& b) { b.elf.e_ident[EI_CLASS] = ELFCLASS32; }),
            "the file is no 64-bit program. " + how);
  EXPECT_EQ(Refusal([](auto& b) { b.elf.e_ident[EI_DATA] = ELFDATA2MSB; }),
            "the file is a big-endian program. " + how);
  EXPECT_EQ(Refusal([](auto& b) { b.elf.e_machine = EM_AARCH64; }),
            "the file is a program for AArch64 (ELF machine 183). " + how);
  EXPECT_EQ(Refusal([](auto& b) { b.elf.e_type = ET_REL; }),
            "the file is an object file, not yet linked. " + how);
  EXPECT_EQ(Refusal([](auto& b) {
              b.elf.e_type = ET_DYN;
              b.Add(PT_INTERP, PF_R, 0, 0, 1, 1);
            }),
            "the file is a Linux program (dynamically linked, x86-64). " + how);
  EXPECT_EQ(
      Refusal([](auto& b) {
        b.elf.e_type = ET_DYN;
        b.Add(PT_DYNAMIC, PF_R, 0, 0, 1, 1);
      }),
      "the file is a shared library or a position-independent Linux program (x86-64). " + how);
  EXPECT_EQ(Refusal([](auto& b) { b.headers.erase(b.headers.begin() + ElfBuilder::kNoteHeader); }),
            "the file is a Linux program (statically linked, x86-64): it has no ZVM note. " + how);
}

TEST(ElfImage, RefusesWhatIsNotInTheSubset) {
  const auto text = [](auto change) {
    return [change](ElfBuilder& b) { change(b.headers[ElfBuilder::kTextHeader]); };
  };
  const auto data = [](auto change) {
    return [change](ElfBuilder& b) { change(b.headers[ElfBuilder::kDataHeader]); };
  };
  EXPECT_THAT(Refusal([](auto& b) { b.Add(PT_TLS, PF_R, 0, 0, 0, 0); }),
              HasSubstr("(PT_TLS); a guest has only"));
  EXPECT_THAT(Refusal([](auto& b) { b.Add(PT_GNU_RELRO, PF_R, 0, 0, 0, 0); }),
              HasSubstr("(PT_GNU_RELRO)"));
  EXPECT_THAT(Refusal([](auto& b) { b.Add(0x12345, PF_R, 0, 0, 0, 0); }),
              HasSubstr("type 0x12345; a guest"));
  EXPECT_EQ(Refusal([](auto& b) { b.Add(PT_NULL, PF_X, ~0ull, ~0ull, ~0ull, ~0ull); }), "accepted");
  EXPECT_THAT(Refusal([](auto& b) { b.headers[ElfBuilder::kStackHeader].p_flags |= PF_X; }),
              HasSubstr("executable stack"));
  EXPECT_THAT(Refusal([](auto& b) { b.headers[ElfBuilder::kNoteHeader].p_flags |= PF_W; }),
              HasSubstr("read-only"));
  EXPECT_THAT(Refusal(text([](auto& h) { h.p_flags = PF_R | PF_W | PF_X; })),
              HasSubstr("R, RX or RW"));
  EXPECT_THAT(Refusal(text([](auto& h) { h.p_flags = PF_X; })), HasSubstr("R, RX or RW"));
  EXPECT_THAT(Refusal(text([](auto& h) { h.p_flags = PF_R; })),
              HasSubstr("no segment is executable"));
  EXPECT_THAT(Refusal(data([](auto& h) { h.p_flags = PF_R | PF_X; })),
              HasSubstr("second executable"));
  EXPECT_THAT(Refusal(text([](auto& h) { h.p_memsz = 0x1000; })), HasSubstr("not all in the file"));
  EXPECT_THAT(Refusal(data([](auto& h) { h.p_memsz = 1; })), HasSubstr("larger in the file"));
  EXPECT_THAT(Refusal(data([](auto& h) { h.p_vaddr += 16; })), HasSubstr("not at a page"));
  EXPECT_THAT(Refusal(data([](auto& h) { h.p_offset -= 0x10; })), HasSubstr("not at a page"));
  EXPECT_THAT(Refusal(data([](auto& h) { h.p_offset = ~0xfffull; })), HasSubstr("truncated"));
  EXPECT_THAT(Refusal(data([](auto& h) { h.p_filesz = ~0ull; })), HasSubstr("truncated"));
  EXPECT_THAT(Refusal(data([](auto& h) { h.p_vaddr = 0x401000; })),
              HasSubstr("overlaps or precedes"));
  EXPECT_THAT(Refusal(data([](auto& h) { h.p_vaddr = 0x10000; })),
              HasSubstr("is not between 0x400000 and 0xff000000"));
  EXPECT_THAT(Refusal(data([](auto& h) { h.p_memsz = 0xff000000; })), HasSubstr("is not between"));
  EXPECT_THAT(Refusal(data([](auto& h) { h.p_memsz = ~0ull; })), HasSubstr("is not between"));
  EXPECT_THAT(Refusal(data([](auto& h) { h.p_vaddr = ~0xfffull; })), HasSubstr("is not between"));
  EXPECT_EQ(Refusal(data([](auto& h) { h.p_vaddr = 0xfeffe000; })), "accepted");
  EXPECT_THAT(Refusal([](auto& b) {
                b.headers[ElfBuilder::kTextHeader].p_vaddr = 0x80000000;
                b.elf.e_entry = 0x80000000;
              }),
              HasSubstr("is not between 0x400000 and 0x80000000"));
  EXPECT_EQ(Refusal([](auto& b) {
              std::swap(b.headers[0], b.headers[2]);
              b.headers[0].p_vaddr = 0x400000;
              b.headers[1].p_vaddr = 0x402000;
              b.headers[2].p_vaddr = b.elf.e_entry = 0x7ffff000;
            }),
            "accepted");
  EXPECT_EQ(Refusal([](auto& b) { b.Add(PT_LOAD, PF_R | PF_W, 0, 0, 0, 0); }), "accepted");
}

TEST(ElfImage, RefusesABadEntryPoint) {
  EXPECT_THAT(Refusal([](auto& b) { b.elf.e_entry = 0x3fffe0; }), HasSubstr("is not in text"));
  EXPECT_THAT(Refusal([](auto& b) { b.elf.e_entry = 0x401000; }), HasSubstr("is not in text"));
  EXPECT_THAT(Refusal([](auto& b) { b.elf.e_entry = 0x400010; }),
              HasSubstr("start of a bundle of 32 bytes"));
  EXPECT_EQ(Refusal([](auto& b) { b.elf.e_entry = 0x400fe0; }), "accepted");
}

TEST(ElfImage, RefusesABadNote) {
  EXPECT_THAT(Refusal([](auto& b) { b.note.abi_version = 2; }),
              HasSubstr("guest ABI 2; this host has 1"));
  EXPECT_THAT(Refusal([](auto& b) { b.note.isa_level = 4; }), HasSubstr("level 4"));
  EXPECT_THAT(Refusal([](auto& b) { b.headers[ElfBuilder::kNoteHeader].p_filesz = 23; }),
              HasSubstr("cut off"));
  EXPECT_THAT(Refusal([](auto& b) { b.headers[ElfBuilder::kNoteHeader].p_filesz = 3; }),
              HasSubstr("cut off"));
  EXPECT_THAT(Refusal([](auto& b) { b.headers.push_back(b.headers[ElfBuilder::kNoteHeader]); }),
              HasSubstr("more than one"));
  EXPECT_EQ(Refusal([](auto& b) { b.note.isa_level = 3; }), "accepted");
}

TEST(ElfImage, EnforcesItsLimits) {
  EXPECT_THAT(Refusal([](auto& b) { b.headers.resize(kMaxProgramHeaders + 1); }),
              HasSubstr("33 program headers; the limit is 32"));
  EXPECT_THAT(Refusal([](auto& b) { b.elf.e_phentsize = 32; }),
              HasSubstr("program headers of 32 bytes"));
  EXPECT_THAT(Refusal([](auto& b) { b.elf.e_phoff = ~0ull; }), HasSubstr("truncated"));
  EXPECT_THAT(Refusal([](auto& b) {
                for (std::uint64_t k = 0; k < kMaxSegments; ++k)
                  b.Add(PT_LOAD, PF_R, 0, 0x500000 + k * 0x1000, 1, 1);
              }),
              HasSubstr("too many: the limit is 8"));
  // Never read: ParseElf looks at the size first.
  const std::span<const std::byte> huge(reinterpret_cast<const std::byte*>(0x1000),
                                        kMaxImageFileSize + 1);
  EXPECT_THAT(ParseElf(huge).error().message, HasSubstr("the limit is 268435456"));
}

TEST(ElfImage, SurvivesTruncationAtEveryByte) {
  const std::vector<std::byte> file = ElfBuilder().Build();
  const std::size_t needed = 0x3000 + ElfBuilder().data.size();
  for (std::size_t size = 0; size < file.size(); ++size) {
    // A copy of its own, so that a read beyond it is found by AddressSanitizer.
    const std::vector<std::byte> part(file.begin(),
                                      file.begin() + static_cast<std::ptrdiff_t>(size));
    const auto parsed = ParseElf(part);
    ASSERT_EQ(parsed.has_value(), size >= needed) << size;
    if (parsed) ReadSymbols(part, parsed->layout);
  }
}

TEST(ElfImage, SurvivesRandomChangesOfItsHeaders) {
  const std::vector<std::byte> good = ElfBuilder().Build();
  std::mt19937_64 random(20130611);
  std::size_t accepted = 0;
  for (int round = 0; round < 50'000; ++round) {
    std::vector<std::byte> file = good;
    for (std::size_t changes = 1 + random() % 4; changes > 0; --changes) {
      constexpr std::size_t kAreas[][2] = {{0, 0x160}, {0x800, 24}, {0x4000, 0x140}};
      const auto& [start, size] = kAreas[random() % 3];
      file[start + random() % size] = static_cast<std::byte>(random() % 3 == 0 ? 0xFF : random());
    }
    const auto parsed = ParseElf(file);
    if (!parsed) continue;
    ++accepted;
    for (const Segment& segment : parsed->layout.segments) {
      ASSERT_EQ(segment.address % kPageSize, 0u);
      ASSERT_LE(segment.address + segment.size, ZVM_STACK_ADDRESS);
      ASSERT_LE(segment.backed_size, segment.size);
    }
    const auto symbols = ReadSymbols(file, parsed->layout);
    Symbolize(symbols, parsed->layout.entry);
  }
  EXPECT_GT(accepted, 100u);
}

TEST(ElfImage, NamesAddressesBySymbols) {
  const std::vector<std::byte> file = ElfBuilder().Build();
  const auto parsed = ParseElf(file);
  ASSERT_TRUE(parsed);
  const auto symbols = ReadSymbols(file, parsed->layout);
  EXPECT_EQ(Symbolize(symbols, 0x400000), "main");
  EXPECT_EQ(Symbolize(symbols, 0x40000f), "main+0xf");
  EXPECT_EQ(Symbolize(symbols, 0x400010), "");  // behind main, which has a size
  EXPECT_EQ(Symbolize(symbols, 0x400024), "tail+0x4");
  EXPECT_EQ(Symbolize(symbols, 0x3fffff), "");
  EXPECT_EQ(Symbolize({}, 0x400000), "");
}

}  // namespace
}  // namespace zerocloud::loader
