// Whatever the bytes, parsing ends with a layout that keeps its promises, or with an error. They
// are a file; or, as few files would be parsed to their end, changes to a good one.
#include <cstdlib>
#include <vector>

#include "sandbox/include/zvm.h"
#include "sandbox/loader/elf_builder.h"
#include "sandbox/loader/elf_image.h"

using namespace zerocloud::loader;

namespace {

// A good file with `changes` made to it, each an offset of two bytes and a byte. Most are to the
// headers, at the beginning.
std::vector<std::byte> Change(std::span<const std::uint8_t> changes) {
  constexpr std::size_t kHeaders = 512, kAnywhere = 0x8000;
  std::vector<std::byte> file = ElfBuilder().Build();
  for (; changes.size() >= 3; changes = changes.subspan(3)) {
    const std::size_t offset = changes[0] | std::size_t{changes[1]} << 8;
    const std::size_t limit = offset < kAnywhere ? kHeaders : file.size();
    file[offset % limit] = static_cast<std::byte>(changes[2]);
  }
  return file;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  std::span file(reinterpret_cast<const std::byte*>(data), size);
  std::vector<std::byte> changed;
  if (size > 0 && data[0] == 'c') {
    changed = Change(std::span(data, size).subspan(1));
    file = changed;
  }
  const auto parsed = ParseElf(file);
  if (!parsed) return 0;
  std::uint64_t end = ZVM_IMAGE_ADDRESS;
  for (std::size_t k = 0; k < parsed->sources.size(); ++k) {
    const Segment& segment = parsed->layout.segments[k];
    const SegmentSource& source = parsed->sources[k];
    const bool is_good = segment.address >= end && segment.address % kPageSize == 0 &&
                         segment.address + segment.size <= ZVM_STACK_ADDRESS &&
                         segment.backed_size <= segment.size &&
                         source.file_size <= segment.backed_size &&
                         source.file_offset + source.file_size <= file.size();
    if (!is_good) std::abort();
    end = segment.address + segment.size;
  }
  Symbolize(ReadSymbols(file, parsed->layout), parsed->layout.entry);
  return 0;
}
