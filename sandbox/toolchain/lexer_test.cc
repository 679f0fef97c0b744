#include "sandbox/toolchain/lexer.h"

#include <gtest/gtest.h>

namespace zerocloud::toolchain {
namespace {

std::string Names(const Assembly& assembly) {
  std::string out;
  for (const Statement& statement : assembly.statements) {
    out += std::string(statement.name) + "<" + std::string(statement.rest) + "> ";
  }
  return out;
}

TEST(Lexer, SeparatesStatementsAtSemicolonsAndNewlines) {
  const auto assembly = Lex("f: pushq %rbx; ret\n\tx = 5\n.p2align 4,,10", "a.s");
  ASSERT_TRUE(assembly);
  EXPECT_EQ(Names(*assembly), "f<> pushq<%rbx> ret<> x<= 5> .p2align<4,,10> ");
  EXPECT_EQ(assembly->statements[0].kind, StatementKind::kLabel);
  EXPECT_EQ(assembly->statements[1].kind, StatementKind::kInstruction);
  EXPECT_EQ(assembly->statements[3].kind, StatementKind::kAssignment);
  EXPECT_EQ(assembly->statements[4].kind, StatementKind::kDirective);
}

TEST(Lexer, LeavesCommentSignsInStringsAndCharacters) {
  const auto assembly =
      Lex(".ascii \"#;\\\"/*\" # gone\nmovb $'#, %al /* gone\ntoo */ ; ret", "a.s");
  ASSERT_TRUE(assembly);
  EXPECT_EQ(Names(*assembly), ".ascii<\"#;\\\"/*\"> movb<$'#, %al> ret<> ");
  EXPECT_EQ(assembly->statements[2].line, 3u);
}

TEST(Lexer, FollowsLineMarkersOfThePreprocessor) {
  const auto assembly = Lex("# 40 \"x.S\"\nnop\n# 7 \"y.h\" 1\nret\n#APP\nhlt", "a.s");
  ASSERT_TRUE(assembly);
  EXPECT_EQ(assembly->files[assembly->statements[0].file], "x.S");
  EXPECT_EQ(assembly->statements[0].line, 40u);
  EXPECT_EQ(assembly->files[assembly->statements[1].file], "y.h");
  EXPECT_EQ(assembly->statements[1].line, 7u);
  EXPECT_EQ(assembly->statements[2].line, 9u);
}

TEST(Lexer, RefusesWhatIsNotClosed) {
  EXPECT_EQ(Lex("nop\n/* never", "a.s").error().message, "a.s:2: a comment is not closed");
  EXPECT_EQ(Lex(".ascii \"never\n", "a.s").error().message, "a.s:1: a string is not closed");
}

TEST(Lexer, SurvivesEveryShortInput) {
  const std::string alphabet = "\"'/*#;:=\n\\ a.";
  for (const char a : alphabet) {
    for (const char b : alphabet) {
      for (const char c : alphabet) (void)Lex(std::string{a, b, c}, "a.s");
    }
  }
}

}  // namespace
}  // namespace zerocloud::toolchain
