// Accepted code is safe in the eyes of Zydis and of LLVM; verdicts do not depend on their limit.
#include <cstdio>
#include <cstdlib>

#include "sandbox/proof/llvm_oracle.h"
#include "sandbox/proof/zydis_oracle.h"
#include "sandbox/verifier/verifier.h"

using namespace zerocloud::verifier;
using zerocloud::proof::DecodeLength;
using zerocloud::proof::FindUnsafe;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  std::vector<std::byte> code(size);
  for (std::size_t k = 0; k < size; ++k) code[k] = std::byte{data[k]};
  code.resize((size + kBundleSize - 1) / kBundleSize * kBundleSize, std::byte{0xCC});
  const Options options{.isa_level = 3};
  const bool is_accepted = Verify(code, 0x400000, options).is_accepted();
  if (is_accepted != Verify(code, 0x400000, {.isa_level = 3, .max_violations = 1}).is_accepted())
    std::abort();
  if (!is_accepted) return 0;
  std::string unsafe = FindUnsafe(code, 0x400000);
  static const zerocloud::proof::LlvmOracle llvm;
  for (std::size_t at = 0; at < code.size() && unsafe.empty();) {
    const std::size_t length = DecodeLength(std::span(code).subspan(at));
    unsafe = llvm.FindUnsafe(reinterpret_cast<const unsigned char*>(code.data()) + at, length,
                             0x400000 + at);
    at += length;
  }
  if (unsafe.empty()) return 0;
  std::fprintf(stderr, "accepted, but %s\n", unsafe.c_str());
  std::abort();
}
