#include "sandbox/zvsh/invocation.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

namespace zerocloud::zvsh {
namespace {

using testing::HasSubstr;
using testing::Not;
using Kind = Argument::Kind;

Invocation Simple() {
  Invocation invocation;
  invocation.program = "/bin/guest";
  invocation.name = "guest";
  invocation.standard_input = {"/dev/stdin", StreamKind::kTerminal};
  invocation.standard_output = {"/w/stdout.1", StreamKind::kPipe};
  invocation.standard_error = {"/w/stderr.1", StreamKind::kFile};
  invocation.nvram_path = "/w/nvram.1";
  return invocation;
}

TEST(Argument, TellsFilesVariablesAndText) {
  EXPECT_EQ(ParseArgument("a"), (Argument{Kind::kText, "", "a"}));
  EXPECT_EQ(ParseArgument("@"), (Argument{Kind::kText, "", "@"}));
  EXPECT_EQ(ParseArgument("@@a"), (Argument{Kind::kText, "", "@a"}));
  EXPECT_EQ(ParseArgument("@a/b"), (Argument{Kind::kFile, "", "a/b"}));
  EXPECT_EQ(ParseArgument("@A_1=b=c"), (Argument{Kind::kVariable, "A_1", "b=c"}));
  EXPECT_EQ(ParseArgument("@a=b"), (Argument{Kind::kFile, "", "a=b"}));
  EXPECT_EQ(ParseArgument("@=b"), (Argument{Kind::kFile, "", "=b"}));
}

TEST(Manifest, HasZeroVmsDefaults) {
  EXPECT_EQ(ComposeManifest(Simple()),
            "Version = 20130611\nMemory = 4294967296, 0\nNode = 1\nTimeout = 50\n"
            "Program = /bin/guest\n"
            "Channel = /dev/stdin, /dev/stdin, 0, 0, 4294967296, 4294967296, 0, 0\n"
            "Channel = /w/stdout.1, /dev/stdout, 0, 0, 0, 0, 4294967296, 4294967296\n"
            "Channel = /w/stderr.1, /dev/stderr, 0, 0, 0, 0, 4294967296, 4294967296\n"
            "Channel = /bin/guest, /dev/self, 3, 0, 4294967296, 4294967296, 0, 0\n"
            "Channel = /w/nvram.1, /dev/nvram, 3, 0, 4294967296, 4294967296, 0, 0\n");
}

TEST(Manifest, TakesLimitsFromTheConfiguration) {
  Invocation invocation = Simple();
  invocation.config = *ParseConfig(
      "[manifest]\nMemory=1,1\nNode=3\nTimeout=4\n[limits]\nreads=5\nrbytes=6\nwrites=7\nwbytes="
      "8\n");
  const std::string text = ComposeManifest(invocation);
  EXPECT_THAT(text, HasSubstr("Memory = 1, 1\nNode = 3\nTimeout = 4\n"));
  EXPECT_THAT(text, HasSubstr("/dev/stdin, 0, 0, 5, 6, 0, 0\n"));
  EXPECT_THAT(text, HasSubstr("/dev/stdout, 0, 0, 0, 0, 7, 8\n"));
}

TEST(Manifest, NumbersFilesAndImagesTogether) {
  Invocation invocation = Simple();
  invocation.files = {{"/a/in", "in", false}, {"/a/out", "out", true}, {"/a/in", "in", false}};
  invocation.images = {{"/i/data.tar", "/", "ro"}, {"/i/save.tar", "/save", "wo"}};
  invocation.config = *ParseConfig("[limits]\nreads=1\nrbytes=2\nwrites=3\nwbytes=4\n");
  const std::string text = ComposeManifest(invocation);
  EXPECT_THAT(text, HasSubstr("Channel = /a/in, /dev/1.in, 3, 0, 1, 2, 0, 0\n"
                              "Channel = /a/out, /dev/2.out, 3, 0, 1, 2, 3, 4\n"
                              "Channel = /i/data.tar, /dev/3.data.tar, 3, 0, 1, 2, 0, 0\n"
                              "Channel = /i/save.tar, /dev/4.save.tar, 2, 0, 0, 0, 3, 4\n"));
}

TEST(Nvram, SaysHowToStart) {
  Invocation invocation = Simple();
  invocation.files = {{"/a/x,y", "x,y", true}};
  invocation.images = {{"/i/data.tar", "/my data", "ro"}};
  invocation.config.environment = {{"A", "0"}, {"HOME", "/"}};
  invocation.arguments = {ParseArgument("a b"), ParseArgument(""), ParseArgument("@x,y"),
                          ParseArgument("@A=1,2"), ParseArgument("#\"\\\n")};
  invocation.verbosity = 2;
  EXPECT_EQ(*ComposeNvram(invocation),
            "[args]\nargs = guest a\\x20b \"\" /dev/1.x_y \\x23\\x22\\x5c\\x0a\n"
            "[env]\nname=A,value=1\\x2c2\nname=HOME,value=/\n"
            "[fstab]\nchannel=/dev/2.data.tar,mountpoint=/my\\x20data,access=ro,removable=no\n"
            "[mapping]\nchannel=/dev/stdin,mode=char\nchannel=/dev/stdout,mode=pipe\n"
            "channel=/dev/stderr,mode=file\nchannel=/dev/1.x_y,mode=file\n"
            "[debug]\nverbosity=2\n");
}

TEST(Nvram, IsNotLongerThanAGuestReads) {
  Invocation invocation = Simple();
  invocation.arguments = {{Kind::kText, "", std::string(kMaxNvramSize, 'a')}};
  const auto text = ComposeNvram(invocation);
  ASSERT_FALSE(text);
  EXPECT_THAT(text.error().message, HasSubstr("a guest reads 10240"));
}

TEST(Path, FitsAManifestOrNot) {
  EXPECT_TRUE(FitsManifest("/a b/c"));
  for (const char* path : {"a", "/a,b", "/a;b", "/a:b", "/a=b", "/a\nb", "/a "}) {
    EXPECT_FALSE(FitsManifest(path)) << path;
  }
}

}  // namespace
}  // namespace zerocloud::zvsh
