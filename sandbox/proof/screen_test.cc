// The screen (sandbox/verifier/screen.h) is a short cut: no verdict may depend on it. Here it is
// switched off and on, over every instruction of the cases at every place of a bundle, every pair
// of them around a bundle's end, and random programs of them. zvm-enumerate compares the two for
// every encoding.
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <random>
#include <set>
#include <vector>

#include "sandbox/proof/corpus.h"
#include "sandbox/verifier/verifier.h"

namespace zerocloud::verifier {

std::uint32_t weakened_rules = 0;

namespace {

namespace fs = std::filesystem;
using proof::Bytes;

constexpr std::uint64_t kBase = 0x400000;
constexpr unsigned char kNop = 0x90;

// Every instruction of the cases, kept or refused, once; and bytes that are none.
std::vector<Bytes> AllInstructions() {
  std::set<Bytes> found;
  for (const char* folder : {"accept", "reject"}) {
    for (const auto& entry : fs::directory_iterator(fs::path(ZEROCLOUD_CASE_OBJECTS) / folder)) {
      const Bytes text = proof::ReadText(entry.path());
      const std::vector<bool> starts = proof::FindStarts(text);
      for (std::size_t at = 0; at < text.size();) {
        std::size_t end = at + 1;
        while (end < text.size() && !starts[end] && end < at + 15) ++end;
        found.insert(Bytes(text.begin() + static_cast<std::ptrdiff_t>(at),
                           text.begin() + static_cast<std::ptrdiff_t>(end)));
        while (end < text.size() && !starts[end]) ++end;
        at = end;
      }
    }
  }
  return {found.begin(), found.end()};
}

void Put(Bytes& code, std::size_t at, const Bytes& instruction) {
  for (std::size_t k = 0; k < instruction.size() && at + k < code.size(); ++k)
    code[at + k] = instruction[k];
}

// True if the verdict on `code`, with all violations, is the same without the screen.
bool IsIndifferent(const Bytes& code, unsigned isa_level) {
  const Options options = {.isa_level = isa_level, .max_violations = 1000};
  const auto bytes = std::as_bytes(std::span(code));
  weakened_rules = 0;
  const Verdict with = Verify(bytes, kBase, options);
  weakened_rules = 1u << 31;
  const Verdict without = Verify(bytes, kBase, options);
  weakened_rules = 0;
  return with == without;
}

TEST(Screen, ChangesNoVerdictWhereverAnInstructionStands) {
  const std::vector<Bytes> instructions = AllInstructions();
  EXPECT_GT(instructions.size(), 400u);
  constexpr std::size_t kSize = 5 * kBundleSize;
  for (const Bytes& instruction : instructions) {
    for (std::size_t at = 0; at < kSize; ++at) {
      Bytes code(kSize, kNop);
      Put(code, at, instruction);
      ASSERT_TRUE(IsIndifferent(code, 2 + at % 2))
          << "at " << at << ": " << testing::PrintToString(instruction);
    }
  }
}

TEST(Screen, ChangesNoVerdictOnAnyPairAtTheEndOfABundle) {
  const std::vector<Bytes> instructions = AllInstructions();
  constexpr std::size_t kBundles = 4;
  std::size_t tried = 0;
  for (const Bytes& first : instructions) {
    for (const Bytes& second : instructions) {
      // The pair ends one byte before the boundary, at it, or one byte behind; or it is between
      // the two. In another bundle each time, as different walks go through them.
      const std::size_t boundary = (1 + tried % kBundles) * kBundleSize;
      const std::size_t size = first.size() + second.size();
      for (const std::size_t at :
           {boundary - size - 1, boundary - size, boundary - size + 1, boundary - first.size()}) {
        if (at > boundary) continue;  // longer than a bundle, in the first one
        Bytes code(kBundles * kBundleSize, kNop);
        Put(code, at, first);
        Put(code, at + first.size(), second);
        ASSERT_TRUE(IsIndifferent(code, 3)) << "at " << at << ": " << testing::PrintToString(first)
                                            << " and " << testing::PrintToString(second);
        ++tried;
      }
    }
  }
  EXPECT_GT(tried, 500'000u);
}

TEST(Screen, ChangesNoVerdictOnRandomPrograms) {
  const std::vector<Bytes> instructions = AllInstructions();
  std::mt19937_64 random(20130611);
  const auto pick = [&random](std::size_t n) { return static_cast<std::size_t>(random() % n); };
  std::size_t refused = 0;
  for (unsigned round = 0; round < 100'000; ++round) {
    Bytes code((1 + pick(12)) * kBundleSize, kNop);
    for (std::size_t at = 0; at < code.size();) {
      const Bytes& instruction = instructions[pick(instructions.size())];
      const std::size_t left = kBundleSize - at % kBundleSize;
      // Sometimes across the boundary.
      if (instruction.size() > left && pick(16) != 0) {
        at += left;
        continue;
      }
      Put(code, at, instruction);
      at += instruction.size();
    }
    for (std::size_t changes = pick(4); changes > 0; --changes)
      code[pick(code.size())] = static_cast<unsigned char>(random());
    ASSERT_TRUE(IsIndifferent(code, 2 + round % 2)) << testing::PrintToString(code);
    if (!Verify(std::as_bytes(std::span(code)), kBase, {.isa_level = 3}).is_accepted()) ++refused;
  }
  EXPECT_GT(refused, 10'000u);
}

}  // namespace
}  // namespace zerocloud::verifier
