#include "sandbox/toolchain/operand.h"

#include <gtest/gtest.h>

#include "sandbox/toolchain/confine.h"

namespace zerocloud::toolchain {
namespace {

std::string Confined(std::string_view text) {
  const auto operand = ParseOperand(text);
  if (!operand) return "not an operand";
  const auto out = ConfineMemory(*operand);
  return out ? *out : "refused";
}

Operand Parsed(std::string_view text) { return ParseOperand(text).value_or(Operand{}); }

TEST(Operand, SplitsAtCommasOutsideParentheses) {
  const auto parts = SplitOperands("8(%rax,%rbx,4), %xmm0{%k1}, $','");
  ASSERT_EQ(parts.size(), 4u);  // the comma in a character is not understood: nothing writes it so
  EXPECT_EQ(parts[0], "8(%rax,%rbx,4)");
  EXPECT_EQ(parts[1], "%xmm0{%k1}");
}

TEST(Operand, KnowsRegisterImmediateAndMemory) {
  EXPECT_EQ(Parsed("%st(1)").reg, "st(1)");
  EXPECT_EQ(Parsed("$-5").displacement, "-5");
  const Operand memory = Parsed("*%fs:-8+4( %rax , %r12 , 8 )");
  EXPECT_TRUE(memory.indirect);
  EXPECT_EQ(memory.segment, "fs");
  EXPECT_EQ(memory.displacement, "-8+4");
  EXPECT_EQ(memory.base, "rax");
  EXPECT_EQ(memory.index, "r12");
  EXPECT_EQ(memory.scale, "8");
  EXPECT_FALSE(ParseOperand(""));
  EXPECT_FALSE(ParseOperand("8(rax)(%rbx,%rcx,1,2)"));
}

TEST(Operand, NamesTheLowHalfOfEveryRegister) {
  EXPECT_EQ(Low32("rax"), "eax");
  EXPECT_EQ(Low32("esi"), "esi");
  EXPECT_EQ(Low32("r8"), "r8d");
  EXPECT_EQ(Low32("r15d"), "r15d");
  EXPECT_EQ(Low32("riz"), "eiz");
  for (const auto* other : {"ax", "al", "r8w", "r16", "rip", "xmm0", "r", ""}) {
    EXPECT_EQ(Low32(other), "") << other;
  }
}

TEST(Operand, EvaluatesConstantExpressions) {
  EXPECT_EQ(ConstantValue("-(-8+5)*2"), 6);
  EXPECT_EQ(ConstantValue("0x10 + 010"), 24);
  EXPECT_EQ(ConstantValue("18446744073709551615"), -1);
  for (const auto* other : {"", "x", "1f", "4+x", "(4", "99999999999999999999", "4)"}) {
    EXPECT_FALSE(ConstantValue(other)) << other;
  }
  EXPECT_FALSE(ConstantValue(std::string(1000, '(') + "1" + std::string(1000, ')')));
}

TEST(Confine, AddressesWith32BitRegisters) {
  EXPECT_EQ(Confined("8(%rax,%r12,4)"), "8(%eax,%r12d,4)");
  EXPECT_EQ(Confined("(-8+5)(%rdi,%rdx)"), "(-8+5)(%edi,%edx)");
  EXPECT_EQ(Confined("table(,%rsi,8)"), "table(,%esi,8)");
  EXPECT_EQ(Confined("x+4(%rip)"), "x+4(%rip)");
}

TEST(Confine, LeavesTheStackWithinTheRedZone) {
  EXPECT_EQ(Confined("-128(%rsp)"), "-128(%rsp)");
  EXPECT_EQ(Confined("40000(%rsp)"), "40000(%rsp)");
  EXPECT_EQ(Confined("-129(%rsp)"), "-129(%esp)");
  EXPECT_EQ(Confined("x(%rsp)"), "x(%esp)");
  EXPECT_EQ(Confined("(%rsp,%rcx)"), "(%esp,%ecx)");
}

TEST(Confine, TurnsAbsoluteAddressesIntoOtherForms) {
  EXPECT_EQ(Confined("symbol+8"), "symbol+8(%rip)");
  EXPECT_EQ(Confined("131072"), "131072(,%eiz,1)");
  EXPECT_EQ(Confined("4278190080"), "-16777216(,%eiz,1)");
  EXPECT_EQ(Confined("4294967296"), "refused");
  EXPECT_EQ(Confined("-4"), "refused");
}

TEST(Confine, MakesThreadLocalVariablesPlain) {
  EXPECT_EQ(Confined("%fs:x@tpoff"), "x(%rip)");
  EXPECT_EQ(Confined("%fs:x@TPOFF+4(%rax)"), "x+4(%eax)");
  EXPECT_EQ(Confined("%fs:(%rax,%rbx)"), "(%eax,%ebx)");
  EXPECT_EQ(Confined("%fs:40"), "refused");
  EXPECT_EQ(Confined("%gs:(%rax)"), "refused");
  EXPECT_EQ(DropThreadLocalSuffixes("f@PLT, x@dtpoff+1"), "f@PLT, x+1");
}

TEST(Confine, RefusesVectorIndexesAndShortRegisters) {
  EXPECT_EQ(Confined("(%rax,%ymm1,4)"), "refused");
  EXPECT_EQ(Confined("(%ax)"), "refused");
}

}  // namespace
}  // namespace zerocloud::toolchain
