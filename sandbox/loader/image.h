// Image: a guest program ready to be mapped: parsed, laid out in whole pages, tail of text filled
// with traps, verified, and sealed in a memory file that nobody can change any more. Made once per
// program and shared by any number of sessions. Immutable, so thread-safe.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "channels/base/result.h"
#include "channels/base/unique_fd.h"
#include "sandbox/loader/elf_image.h"
#include "sandbox/verifier/verifier.h"

namespace zerocloud::loader {

class Image {
 public:
  // Parses `file` (a whole ELF file), builds the page image and verifies its text. kRejectedCode with
  // a sentence when it is no acceptable guest program; the verdict says where.
  static Result<std::shared_ptr<const Image>> Load(std::span<const std::byte> file);
  // The same from an open file of at most kMaxImageFileSize bytes.
  static Result<std::shared_ptr<const Image>> LoadFile(int fd);

  Image(const Image&) = delete;
  Image& operator=(const Image&) = delete;

  [[nodiscard]] int memory_file() const { return memory_file_.get(); }
  [[nodiscard]] const ImageLayout& layout() const { return layout_; }
  // "name+0x12" for an address in text, or empty.
  [[nodiscard]] std::string Symbolize(std::uint64_t address) const;

 private:
  Image() = default;
  UniqueFd memory_file_;
  ImageLayout layout_;
  std::vector<Symbol> symbols_;
};

}  // namespace zerocloud::loader
