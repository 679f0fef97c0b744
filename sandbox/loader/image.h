// Image: a guest program ready to be mapped: parsed, laid out in whole pages, tail of text filled
// with traps, sealed in a memory file that nobody can change any more, and verified there. Made
// once per program and shared by any number of sessions. Immutable, so thread-safe.
//
// The memory file holds the backed pages of all segments, one segment after the other. A session
// maps each of them MAP_PRIVATE, and zero pages where a segment is larger than what backs it.
#pragma once

#include <cstddef>
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

// Everything found out about a program, accepted or not: what zvm-verify prints. Only an Image,
// which exists only for an accepted verdict, can be run.
struct Examination {
  verifier::Verdict verdict;
  ImageLayout layout;
  std::vector<Symbol> symbols;
  UniqueFd memory_file;         // sealed; its text is what the verdict is about
  std::vector<std::byte> text;  // a copy of the text, in whole pages; empty if accepted
  std::string digest;           // SHA-256 of the ELF file, lower-case hex
};

// Parses `file`, builds and seals the memory file, and verifies the text in it. kRejectedCode when
// the file is no guest program; breaking rules of the verifier is not an error here but a verdict.
Result<Examination> Examine(std::span<const std::byte> file, std::size_t max_violations = 100);

// SHA-256 of `file`, lower-case hex: Image::digest() of what is loaded from it.
Result<std::string> DigestOf(std::span<const std::byte> file);

// Reads all of `fd`, a regular file of at most kMaxImageFileSize bytes, from its start.
Result<std::vector<std::byte>> ReadImageFile(int fd);

class Image {
 public:
  // Parses `file` (a whole ELF file), builds the page image and verifies its text. kRejectedCode
  // with a sentence when it is no acceptable guest program; Examine() tells every violation.
  static Result<std::shared_ptr<const Image>> Load(std::span<const std::byte> file);
  // The same without verification. REQUIRES: this verifier has accepted exactly these bytes before,
  // as the caller knows by their digest.
  static Result<std::shared_ptr<const Image>> LoadAccepted(std::span<const std::byte> file);
  // Load() from an open file of at most kMaxImageFileSize bytes.
  static Result<std::shared_ptr<const Image>> LoadFile(int fd);

  Image(const Image&) = delete;
  Image& operator=(const Image&) = delete;

  [[nodiscard]] int memory_file() const { return memory_file_.get(); }
  [[nodiscard]] const ImageLayout& layout() const { return layout_; }
  // SHA-256 of the ELF file, lower-case hex: the program's identity.
  [[nodiscard]] const std::string& digest() const { return digest_; }
  // "name+0x12" for an address in text, or empty.
  [[nodiscard]] std::string Symbolize(std::uint64_t address) const;

 private:
  explicit Image(Examination examination);

  UniqueFd memory_file_;
  ImageLayout layout_;
  std::vector<Symbol> symbols_;
  std::string digest_;
};

}  // namespace zerocloud::loader
