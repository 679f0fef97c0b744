#include "sandbox/verifier/verifier.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <initializer_list>
#include <vector>

namespace zerocloud::verifier {
namespace {

constexpr std::uint64_t kBase = 0x400000;

std::vector<std::byte> Code(std::size_t size, std::initializer_list<unsigned> bytes = {}) {
  std::vector<std::byte> code(size, std::byte{0xCC});
  std::size_t at = 0;
  for (const unsigned byte : bytes) code[at++] = static_cast<std::byte>(byte);
  return code;
}

TEST(Verifier, AcceptsNoCodeAtAll) { EXPECT_TRUE(Verify({}, kBase, {}).is_accepted()); }

TEST(Verifier, ListsViolationsByOffsetThoughBranchesAreCheckedLast) {
  // jmp -2+128 (outside); syscall; ret
  const Verdict verdict = Verify(Code(32, {0xEB, 0x7E, 0x0F, 0x05, 0xC3}), kBase, {});
  EXPECT_THAT(verdict.violations,
              testing::ElementsAre(Violation{RuleId::kBranchTarget, 0},
                                   Violation{RuleId::kOpcode, 2}, Violation{RuleId::kReturn, 4}));
}

TEST(Verifier, ListsOnlyTheFirstViolations) {
  std::vector<std::byte> code = Code(64);
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
  EXPECT_FALSE(Verify(Code(32, {0x0F, 0x05}), kBase, {.max_violations = 0}).is_accepted());
  EXPECT_FALSE(Verify(Code(32, {0xEB, 0x7E}), kBase, {.max_violations = 0}).is_accepted());
}

TEST(Verifier, AFullVerdictInventsNoBranchViolation) {
  // Two syscalls fill the verdict; a forward branch in the first bundle is still fine.
  std::vector<std::byte> code = Code(64, {0x0F, 0x05, 0x0F, 0x05, 0xEB, 0x1A});
  const Verdict verdict = Verify(code, kBase, {.max_violations = 2});
  EXPECT_THAT(verdict.violations,
              testing::ElementsAre(Violation{RuleId::kOpcode, 0}, Violation{RuleId::kOpcode, 2}));
}

TEST(Verifier, GivesTheSameVerdictTwice) {
  const std::vector<std::byte> code = Code(96, {0xC3, 0x0F, 0x05, 0x66, 0x66});
  EXPECT_EQ(Verify(code, kBase, {}), Verify(code, kBase, {}));
}

TEST(Verifier, RefusesCodeThatEndsAboveTheLimitWithoutReadingIt) {
  // The span is never dereferenced: it would not be there.
  const std::span<const std::byte> huge(reinterpret_cast<const std::byte*>(0x1000), kCodeLimit);
  EXPECT_THAT(Verify(huge, kBase, {}).violations,
              testing::ElementsAre(Violation{RuleId::kRegion, 0}));
}

}  // namespace
}  // namespace zerocloud::verifier
