#include "middleware/store/naming.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <set>

#include "middleware/store/testing/names.h"

namespace zerocloud::store {
namespace {

TEST(Naming, PlainNamesStayAsTheyAre) {
  for (const char* name :
       {"a", "x.txt", "na\xc3\xafve", "a b", ".hidden", "...", "trailing.", "~", "a\\b", "CON"}) {
    EXPECT_EQ(EncodeObject(name), name);
  }
}

TEST(Naming, EscapesAreAsDocumented) {
  EXPECT_EQ(EncodeObject("logs/2024/x.txt"), "logs%/2024%/x.txt");
  EXPECT_EQ(EncodeObject("a/"), "a%/%-");
  EXPECT_EQ(EncodeObject("/a"), "%/a");
  EXPECT_EQ(EncodeObject("//"), "%/%/%-");
  EXPECT_EQ(EncodeObject("/"), "%/%-");
  EXPECT_EQ(EncodeObject("50% off"), "50%25 off");
  EXPECT_EQ(EncodeObject("."), "%2E");
  EXPECT_EQ(EncodeObject("../.."), "%2E.%/%2E.");
  EXPECT_EQ(EncodeObject("a\nb\x7f"), "a%0Ab%7F");
  EXPECT_EQ(EncodeObject(std::string(300, 'x')),
            std::string(240, 'x') + "%+/" + std::string(60, 'x'));
  EXPECT_EQ(EncodeObject(std::string(242, '.')), std::string(240, '.') + "%+/%2E.");
  std::string deep;
  std::string deep_path;
  for (int i = 0; i < 32; ++i) {
    deep += "a/";
    deep_path += "a%/";
  }
  EXPECT_EQ(EncodeObject(deep + "y/z"), deep_path + "y%2Fz");
  EXPECT_EQ(EncodeObject(deep), deep_path + "%-");
  EXPECT_EQ(EncodeFolder(".zerocloud"), "%2Ezerocloud");
  EXPECT_EQ(EncodeFolder("a.b"), "a.b");
}

TEST(Naming, AnObjectNeverStandsInTheWayOfAnother) {
  // "a" is a file, "a/" and "a/b" need a folder, "a%" is yet another file.
  const std::set<std::string> paths = {EncodeObject("a"), EncodeObject("a/"), EncodeObject("a/b"),
                                       EncodeObject("a%"), EncodeObject("a%/b")};
  EXPECT_EQ(paths.size(), 5U);
  EXPECT_EQ(EncodeObject("a%"), "a%25");
}

TEST(Naming, WhatEncodingNeverMakesIsNotDecoded) {
  for (const char* path : {"a/b", "a%", "a%2e", "a%41", "%2E%2E", "a%/", "%", "", "%-x", "%/%",
                           "a%+/b", "x%zz", "a%2", "%00", "\xff", "a%/b%-", "%c", "%a", "a%2Fb"}) {
    EXPECT_FALSE(DecodeObject(path)) << path;
  }
  EXPECT_FALSE(DecodeFolder("a%/b"));
  EXPECT_FALSE(DecodeFolder(".a"));
}

TEST(Naming, EveryNameComesBackAndIsASafePath) {
  std::mt19937_64 random(20240229);
  std::set<std::string> names;
  std::set<std::string> paths;
  for (int i = 0; i < 20'000; ++i) {
    const std::string name = RandomObjectName(random);
    ASSERT_TRUE(CheckObjectName(name));
    const std::string path = EncodeObject(name);
    ASSERT_EQ(DecodeObject(path), name);
    ASSERT_LT(path.size(), 4096U);
    for (std::size_t at = 0; at <= path.size();) {
      const auto slash = std::min(path.find('/', at), path.size());
      const std::string component = path.substr(at, slash - at);
      ASSERT_FALSE(component.empty() || component == "." || component == "..") << path;
      ASSERT_LE(component.size(), 255U) << path;
      at = slash + 1;
    }
    ASSERT_EQ(names.insert(name).second, paths.insert(path).second);
  }
  // No object's file is another one's folder.
  for (const std::string& path : paths) {
    for (auto slash = path.find('/'); slash != std::string::npos;
         slash = path.find('/', slash + 1)) {
      ASSERT_FALSE(paths.contains(path.substr(0, slash))) << path;
    }
  }
}

TEST(Naming, LimitsAreNamed) {
  EXPECT_NE(CheckObjectName(std::string(1025, 'x')).error().message.find("1024"),
            std::string::npos);
  EXPECT_FALSE(CheckContainerName("a/b"));
  EXPECT_FALSE(CheckContainerName(std::string(257, 'x')));
  EXPECT_FALSE(CheckAccountName(""));
  EXPECT_FALSE(CheckObjectName("\xff"));
  EXPECT_FALSE(CheckObjectName(std::string_view("\0", 1)));
}

}  // namespace
}  // namespace zerocloud::store
