// Programs to mutate: pieces of real, accepted text, small enough to be run on their own.
#pragma once

#include <cstddef>
#include <cstdint>
#include <random>
#include <string>
#include <vector>

namespace zerocloud::proof {

using Bytes = std::vector<unsigned char>;

// The executable segment of a program, or section .text of an object file, in whole bundles; empty
// if there is none.
Bytes ReadText(const std::string& path);

// Where instructions start, by our own decoder: a flag for each byte.
std::vector<bool> FindStarts(const Bytes& code);

// How many instructions of `code` are not in `old` with the same bytes at the same place.
std::uint64_t CountNew(const Bytes& old, const std::vector<bool>& old_starts, const Bytes& code,
                       const std::vector<bool>& starts);

class Corpus {
 public:
  // Ends the process if a file has no text.
  explicit Corpus(const std::vector<std::string>& paths);

  // Some bundles of one of the texts, with the direct branches that leave them led to some
  // instruction inside. Nearly always acceptable.
  [[nodiscard]] Bytes PickSnippet(std::mt19937_64& random) const;

 private:
  std::vector<Bytes> texts_;
};

// Changes a few bytes of `code`: bits, bytes, or whole instructions that one would like to smuggle
// in. Notes the bundles that it touched.
void Mutate(Bytes& code, std::mt19937_64& random, std::vector<std::size_t>& bundles);

}  // namespace zerocloud::proof
