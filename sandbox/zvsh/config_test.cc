#include "sandbox/zvsh/config.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

namespace zerocloud::zvsh {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::Pair;

TEST(Config, ReadsAllSections) {
  const auto config = ParseConfig(
      "# a comment\n; another\n[manifest]\nVersion = 20130611\nMemory = 1048576\nNode=7\n"
      "Timeout = 5\n[env]\nNAME = a = b\n[fstab]\n/x.tar = /data ro\n/y.tar=/out wo\r\n"
      "[limits]\nreads = 1\nrbytes = 2\nwrites = 3\nwbytes = 4\n[zvapp]\nroot_path = /\n");
  ASSERT_TRUE(config) << config.error().message;
  EXPECT_EQ(config->memory, "1048576, 0");
  EXPECT_EQ(config->node, 7);
  EXPECT_EQ(config->timeout_seconds, 5);
  EXPECT_THAT(config->environment, ElementsAre(Pair("NAME", "a = b")));
  EXPECT_THAT(config->images, ElementsAre(ImageOption{"/x.tar", "/data", "ro"},
                                          ImageOption{"/y.tar", "/out", "wo"}));
  EXPECT_EQ(config->limits[kReads], 1);
  EXPECT_EQ(config->limits[kReadBytes], 2);
  EXPECT_EQ(config->limits[kWrites], 3);
  EXPECT_EQ(config->limits[kWriteBytes], 4);
}

TEST(Config, KeepsTheTagOfMemory) {
  EXPECT_EQ(ParseConfig("[manifest]\nMemory = 4096, 1\n")->memory, "4096, 1");
}

TEST(Config, NamesTheLineOfAMistake) {
  const auto check = [](std::string_view text, std::string_view words) {
    const auto config = ParseConfig(text);
    ASSERT_FALSE(config) << text;
    EXPECT_THAT(config.error().message, HasSubstr(std::string(words))) << text;
  };
  check("[manifest]\nMemry = 1\n", "line 2: 'Memry' is no key of [manifest]");
  check("[manifest]\nVersion = 20140509\n", "line 2: manifests of version 20140509");
  check("[manifest]\nTimeout = soon\n", "line 2: 'soon' is not a number");
  check("[limits]\nreads = -1\n", "line 2: '-1' is not a number");
  check("[limits]\nopens = 1\n", "'opens' is no key of [limits]");
  check("\n\n[else]\na = b\n", "line 4: there is no section [else]");
  check("a = b\n", "line 1: a key stands before the first [section]");
  check("[env]\nnothing\n", "line 2: a line is");
  check("[fstab]\n/x.tar = data\n", "the mount point 'data' must begin with /");
  check("[fstab]\n/x.tar = /data rw\n", "the access 'rw' must be ro or wo");
  check(std::string(kMaxConfigSize + 1, '#'), "at most 65536 are read");
}

TEST(Config, TakesFromOthersWhatItDoesNotSay) {
  auto config = *ParseConfig("[manifest]\nTimeout = 5\n[env]\nA = 1\n[fstab]\n/x = /x\n");
  MergeUnder(config,
             *ParseConfig("[manifest]\nTimeout = 9\nNode = 2\n[env]\nB = 2\n[fstab]\n/y = /y\n"));
  EXPECT_EQ(config.timeout_seconds, 5);
  EXPECT_EQ(config.node, 2);
  EXPECT_THAT(config.environment, ElementsAre(Pair("B", "2"), Pair("A", "1")));
  EXPECT_THAT(config.images,
              ElementsAre(ImageOption{"/y", "/y", "ro"}, ImageOption{"/x", "/x", "ro"}));
}

TEST(Image, HasDefaults) {
  EXPECT_EQ(*ParseImage("a.tar"), (ImageOption{"a.tar", "/", "ro"}));
  EXPECT_EQ(*ParseImage("a.tar,/d"), (ImageOption{"a.tar", "/d", "ro"}));
  EXPECT_EQ(*ParseImage("a.tar,/d,wo"), (ImageOption{"a.tar", "/d", "wo"}));
}

TEST(Image, RefusesWhatCannotBeMounted) {
  for (const char* text :
       {"", ",/d", "a,/d,xx", "a,/d,ro,more", "a,d", "a,/,wo", "a,/dev", "a,/dev/x"}) {
    EXPECT_FALSE(ParseImage(text)) << text;
  }
}

}  // namespace
}  // namespace zerocloud::zvsh
