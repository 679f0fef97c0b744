// A third opinion on accepted code, from LLVM's decoder: does it see the same boundaries, and do
// the operands as LLVM prints them keep the rules on memory, on rsp and on branches? Written from
// the rules and the AT&T syntax, not from the verifier; shares nothing with Zydis.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace zerocloud::proof {

class LlvmOracle {
 public:
  LlvmOracle();
  ~LlvmOracle();
  LlvmOracle(const LlvmOracle&) = delete;
  LlvmOracle& operator=(const LlvmOracle&) = delete;

  // Length of the instruction at `bytes`, of which `size` may be read, at guest address `pc`; 0 if
  // LLVM knows none. `text` becomes its assembly.
  std::size_t Decode(const unsigned char* bytes, std::size_t size, std::uint64_t pc,
                     std::string& text) const;

  // Empty if LLVM finds nothing wrong with the instruction at `bytes`, which was accepted with
  // `length` bytes; else what is.
  [[nodiscard]] std::string FindUnsafe(const unsigned char* bytes, std::size_t length,
                                       std::uint64_t pc) const;

 private:
  void* disassembler_;
};

}  // namespace zerocloud::proof
