#include "sandbox/tools/verdict_text.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "sandbox/loader/elf_builder.h"

namespace zerocloud::tools {
namespace {

using testing::HasSubstr;

loader::Examination Examine(const std::string& text) {
  loader::ElfBuilder builder;
  builder.SetText(loader::ElfBuilder::Bytes(text));
  auto examination = loader::Examine(builder.Build());
  EXPECT_TRUE(examination);
  return std::move(*examination);
}

TEST(VerdictText, ShowsRuleSymbolDisassemblyAndStatement) {
  const std::string text = VerdictText("prog", Examine("\x90\x0f\x05"));
  EXPECT_EQ(
      text,
      "prog: 0x400001 <main+0x1>: V05 opcode: syscall\n"
      "    Every instruction, with its prefixes, width and operand form, is in the opcode table.\n"
      "prog: rejected: 1 violation shown\n");
}

TEST(VerdictText, ShowsBytesThatAreNoInstruction) {
  EXPECT_THAT(VerdictText("prog", Examine("\x06")),
              HasSubstr("V02 undecodable: (bytes 06 cc cc cc cc cc cc cc)"));
}

TEST(VerdictText, SaysWhatWasAccepted) {
  EXPECT_THAT(
      VerdictText("prog", Examine("\xf4")),
      testing::StartsWith("prog: accepted: 4096 bytes of text at 0x400000, x86-64-v2, SHA-256 "));
}

TEST(VerdictText, IsTheSameAsJson) {
  const loader::Examination examination = Examine("\x90\x0f\x05");
  EXPECT_EQ(VerdictJson("a \"file\"", examination),
            "{\"file\":\"a \\\"file\\\"\",\"sha256\":\"" + examination.digest +
                "\",\"accepted\":false,\"isa_level\":2,\"text_address\":4194304,"
                "\"text_size\":4096,\"violations\":[{\"rule\":\"V05\",\"name\":\"opcode\","
                "\"offset\":1,\"address\":4194305,\"symbol\":\"main+0x1\","
                "\"disassembly\":\"syscall\",\"statement\":\"Every instruction, with its prefixes, "
                "width and operand form, is in the opcode table.\"}]}\n");
}

TEST(VerdictText, ListsEveryRule) {
  for (const verifier::Rule& rule : verifier::kRules) {
    EXPECT_THAT(RulesText(), HasSubstr(std::string(rule.id) + " " + std::string(rule.name) + ": "));
  }
}

}  // namespace
}  // namespace zerocloud::tools
