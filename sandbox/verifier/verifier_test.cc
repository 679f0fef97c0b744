#include "sandbox/verifier/verifier.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <initializer_list>
#include <random>
#include <vector>

namespace zerocloud::verifier {
namespace {

constexpr std::uint64_t kBase = 0x400000;

std::vector<std::byte> Bytes(std::size_t size, std::initializer_list<unsigned> bytes = {}) {
  std::vector<std::byte> code(size, std::byte{0xCC});
  std::size_t at = 0;
  for (const unsigned byte : bytes) code[at++] = static_cast<std::byte>(byte);
  return code;
}

TEST(Verifier, AcceptsNoCodeAtAll) { EXPECT_TRUE(Verify({}, kBase, {}).is_accepted()); }

TEST(Verifier, ListsViolationsByOffsetThoughBranchesAreCheckedLast) {
  // jmp -2+128 (outside); syscall; ret
  const Verdict verdict = Verify(Bytes(32, {0xEB, 0x7E, 0x0F, 0x05, 0xC3}), kBase, {});
  EXPECT_THAT(verdict.violations,
              testing::ElementsAre(Violation{RuleId::kBranchTarget, 0},
                                   Violation{RuleId::kOpcode, 2}, Violation{RuleId::kReturn, 4}));
}

TEST(Verifier, ListsOnlyTheFirstViolations) {
  std::vector<std::byte> code = Bytes(64);
  for (std::size_t at = 0; at < 64; at += 2) {  // syscall and jmp far away, in turn
    code[at] = at % 4 == 0 ? std::byte{0x0F} : std::byte{0xEB};
    code[at + 1] = at % 4 == 0 ? std::byte{0x05} : std::byte{0x7F};
  }
  const Verdict verdict = Verify(code, kBase, {.max_violations = 3});
  EXPECT_THAT(verdict.violations, testing::ElementsAre(Violation{RuleId::kOpcode, 0},
                                                       Violation{RuleId::kBranchTarget, 2},
                                                       Violation{RuleId::kOpcode, 4}));
}

TEST(Verifier, ALimitOfNoViolationsDoesNotAccept) {
  EXPECT_FALSE(Verify(Bytes(32, {0x0F, 0x05}), kBase, {.max_violations = 0}).is_accepted());
  EXPECT_FALSE(Verify(Bytes(32, {0xEB, 0x7E}), kBase, {.max_violations = 0}).is_accepted());
}

TEST(Verifier, AFullVerdictInventsNoBranchViolation) {
  // Two syscalls fill the verdict; a forward branch in the first bundle is still fine.
  std::vector<std::byte> code = Bytes(64, {0x0F, 0x05, 0x0F, 0x05, 0xEB, 0x1A});
  const Verdict verdict = Verify(code, kBase, {.max_violations = 2});
  EXPECT_THAT(verdict.violations,
              testing::ElementsAre(Violation{RuleId::kOpcode, 0}, Violation{RuleId::kOpcode, 2}));
}

TEST(Verifier, GivesTheSameVerdictTwice) {
  const std::vector<std::byte> code = Bytes(96, {0xC3, 0x0F, 0x05, 0x66, 0x66});
  EXPECT_EQ(Verify(code, kBase, {}), Verify(code, kBase, {}));
}

// Random code is full of violations; each way of going through it must find the same.
TEST(Verifier, FindsTheSameWithAnyNumberOfThreads) {
  std::mt19937 random(7);
  std::vector<std::byte> code(std::size_t{3} << 20, std::byte{0x90});
  for (int k = 0; k < 2000; ++k) code[random() % code.size()] = static_cast<std::byte>(random());
  const Options one = {.isa_level = 3, .max_violations = 10'000};
  Options four = one;
  four.threads = 4;
  const Verdict verdict = Verify(code, kBase, one);
  EXPECT_GT(verdict.violations.size(), 500u);
  EXPECT_EQ(Verify(code, kBase, four), verdict);

  std::vector<std::uint32_t> scratch(ScratchWords(code.size()), 0xFFFFFFFF);
  const Code whole = {reinterpret_cast<const unsigned char*>(code.data()), code.size(), kBase, 3};
  Violation first{};
  EXPECT_FALSE(IsAcceptable(whole, scratch.data(), first));
  EXPECT_EQ(first, verdict.violations.front());
}

TEST(Verifier, KeepsTheFirstViolationsWhenThreadsFindMore) {
  std::vector<std::byte> code(std::size_t{1} << 20, std::byte{0xC3});
  const Verdict verdict = Verify(code, kBase, {.isa_level = 2, .max_violations = 2, .threads = 4});
  EXPECT_THAT(verdict.violations,
              testing::ElementsAre(Violation{RuleId::kReturn, 0}, Violation{RuleId::kReturn, 1}));
}

// A sink that has heard enough is told no more, whichever pass is running.
TEST(VerifierCore, StopsWhenTheSinkDoes) {
  const std::vector<std::byte> code = Bytes(96, {0xEB, 0x7E, 0x0F, 0x05, 0xC3, 0xEB, 0x7D});
  const Code whole = {reinterpret_cast<const unsigned char*>(code.data()), code.size(), kBase + 1,
                      2};
  int calls = 0;
  const Sink once = {[](void* context, Violation) {
                       ++*static_cast<int*>(context);
                       return false;
                     },
                     &calls};
  EXPECT_TRUE(CheckRegion(whole, once));
  EXPECT_EQ(calls, 1);
  std::vector<std::uint32_t> scratch(ScratchWords(code.size()));
  CheckBundles(whole, 0, 3, scratch.data(), once);
  EXPECT_EQ(calls, 2);
  const Sink deaf = {[](void*, Violation) { return true; }, nullptr};
  CheckBundles(whole, 0, 3, scratch.data(), deaf);
  CheckBranches(whole, 0, 3, scratch.data(), once);
  EXPECT_EQ(calls, 3);
}

TEST(VerifierCore, AcceptsARegionPieceByPiece) {
  const std::vector<std::byte> code = Bytes(128, {0xEB, 0x3E});
  const Code whole = {reinterpret_cast<const unsigned char*>(code.data()), code.size(), kBase, 2};
  std::vector<std::uint32_t> scratch(ScratchWords(code.size()), 0xFFFFFFFF);
  int calls = 0;
  const Sink sink = {[](void* context, Violation) {
                       ++*static_cast<int*>(context);
                       return true;
                     },
                     &calls};
  for (const std::size_t bundle : {3u, 0u, 2u, 1u})
    CheckBundles(whole, bundle, bundle + 1, scratch.data(), sink);
  CheckBranches(whole, 0, 4, scratch.data(), sink);
  EXPECT_EQ(calls, 0);
}

TEST(Verifier, RefusesCodeThatEndsAboveTheLimitWithoutReadingIt) {
  // The span is never dereferenced: it would not be there.
  const std::span<const std::byte> huge(reinterpret_cast<const std::byte*>(0x1000), kCodeLimit);
  EXPECT_THAT(Verify(huge, kBase, {}).violations,
              testing::ElementsAre(Violation{RuleId::kRegion, 0}));
}

}  // namespace
}  // namespace zerocloud::verifier
