// Whatever the bytes, parsing ends with a layout that keeps its promises, or with an error.
#include <cstdlib>

#include "sandbox/include/zvm.h"
#include "sandbox/loader/elf_image.h"

using namespace zerocloud::loader;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::span file(reinterpret_cast<const std::byte*>(data), size);
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
                         source.file_offset + source.file_size <= size;
    if (!is_good) std::abort();
    end = segment.address + segment.size;
  }
  Symbolize(ReadSymbols(file, parsed->layout), parsed->layout.entry);
  return 0;
}
