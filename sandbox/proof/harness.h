// Runs accepted code in this process and notices when it gets out. The low 4 GiB are the guest's:
// text, data, nothing else, with the guard above them. Out of its reach, if the verifier is right,
// are bait (memory without rights, whose addresses lie in the guest's registers, stack and segment
// bases), a canary (writable memory that must not change), and every system call (a seccomp filter
// looks where each comes from). A run ends at the first fault, or when its time is up.
//
// Not part of any product. One per process, on its only thread; ends the process if it cannot be
// set up. Not for sanitizers, which live in the low 4 GiB.
#pragma once

#include <cstdint>
#include <random>
#include <span>
#include <string>
#include <vector>

namespace zerocloud::proof {

enum class Ending : std::uint8_t { kFault, kTrap, kTimeout, kEscape };

struct Outcome {
  Ending ending;
  std::string escape;  // for kEscape: what was seen
};

inline constexpr std::uint64_t kTextAddress = 0x400000;
inline constexpr std::size_t kMaxCodeSize = 8192;

class Harness {
 public:
  Harness();
  Harness(const Harness&) = delete;
  Harness& operator=(const Harness&) = delete;

  // Runs `code`, whole bundles, from its first one. `is_start` says for each byte whether an
  // instruction starts there. With `is_stepped` the first hundred instructions must start where one
  // starts.
  Outcome Run(std::span<const unsigned char> code, const std::vector<bool>& is_start,
              bool is_stepped, std::mt19937_64& random);

 private:
  void FillData(std::mt19937_64& random);
  [[nodiscard]] std::uint64_t PickWord(std::mt19937_64& random) const;
  [[nodiscard]] std::string FindChange(std::span<const unsigned char> code) const;

  unsigned char* text_ = nullptr;  // the same memory as the guest's text, writable
  unsigned char* canary_ = nullptr;
  std::uint64_t bait_ = 0;
  std::size_t code_size_ = 0;  // of the last run
  unsigned runs_ = 0;
};

}  // namespace zerocloud::proof
