// The ELF file of a guest program, parsed strictly: what to map where, and its symbols for
// diagnostics. Pure: bytes in, values out. Hostile input gives an Error, never a crash.
//
// A guest program is a static ELF64 executable (ET_EXEC) for x86-64 with a ZVM note (zvm.h). Only
// program headers count; sections are read for symbols alone. Allowed are PT_LOAD (R, RW, and
// exactly one RX), PT_NOTE, PT_GNU_STACK without X and PT_NULL.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "channels/base/result.h"

namespace zerocloud::loader {

inline constexpr std::uint64_t kPageSize = 4096;
inline constexpr std::size_t kMaxImageFileSize = std::size_t{256} << 20;
inline constexpr std::size_t kMaxProgramHeaders = 32;
inline constexpr std::size_t kMaxSegments = 8;
// Symbols beyond this many, and bytes of a name beyond this length, are not kept.
inline constexpr std::size_t kMaxSymbols = 200'000;
inline constexpr std::size_t kMaxSymbolName = 256;

enum class Protection : std::uint8_t { kRead, kReadExecute, kReadWrite };

// A run of whole pages of guest memory with one protection.
struct Segment {
  std::uint64_t address = 0;        // page-aligned
  std::uint64_t size = 0;           // whole pages
  std::uint64_t memory_offset = 0;  // where its first page is in the image's memory file
  std::uint64_t backed_size = 0;    // whole pages from the memory file; the rest is zero pages
  Protection protection = Protection::kRead;
};

// Where everything is. Addresses are guest addresses; all of them end at or below
// ZVM_STACK_ADDRESS, and text ends at or below 2 GiB.
struct ImageLayout {
  std::uint64_t entry = 0;         // in text, at the start of a bundle
  unsigned isa_level = 2;          // from the note: the code needs at most this x86-64 level
  std::vector<Segment> segments;   // by address; at least the text
  std::uint64_t text_address = 0;  // the one executable segment, in whole pages
  std::uint64_t text_size = 0;
  std::uint64_t image_end = 0;         // first byte after the last segment, page-aligned
  std::uint64_t memory_file_size = 0;  // bytes, whole pages
};

// The bytes of the ELF file that a segment starts with; what is left of its pages is padding.
struct SegmentSource {
  std::uint64_t file_offset = 0;
  std::uint64_t file_size = 0;
};

struct Symbol {
  std::uint64_t address = 0;
  std::uint64_t size = 0;  // 0 if the file does not say
  std::string name;
};

struct ElfImage {
  ImageLayout layout;
  std::vector<SegmentSource> sources;  // one per layout.segments
};

// Errors: kRejectedCode, with a sentence that says what the file is and how to build it properly.
Result<ElfImage> ParseElf(std::span<const std::byte> file);

// The functions and labels in the text of `layout`, by address. Empty if the file is stripped or
// its sections make no sense: symbols are for messages only.
std::vector<Symbol> ReadSymbols(std::span<const std::byte> file, const ImageLayout& layout);

// "name+0x12" for an address in or after one of `symbols` (by address), else empty.
std::string Symbolize(std::span<const Symbol> symbols, std::uint64_t address);

}  // namespace zerocloud::loader
