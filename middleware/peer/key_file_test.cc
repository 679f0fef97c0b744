#include "middleware/peer/key_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

namespace zerocloud::peer {
namespace {

using testing::HasSubstr;
using testing::Not;

const std::string kHex(64, 'a');

std::string Refusal(const std::string& text) {
  const auto keys = ParseKeys(text);
  EXPECT_FALSE(keys.has_value()) << text;
  return keys ? "" : keys.error().message;
}

TEST(Keys, AreReadWithTheirTimes) {
  const auto keys = ParseKeys("# the cluster's keys\n\n  one - - " + kHex +
                              "\r\ntwo 1970-01-01T00:01:00Z\t1970-01-02T00:00:00Z " + kHex);
  ASSERT_TRUE(keys.has_value()) << keys.error().message;
  ASSERT_EQ(keys->size(), 2U);
  EXPECT_EQ((*keys)[0].id, "one");
  EXPECT_EQ((*keys)[0].WhyNot(1'000'000), "");
  EXPECT_EQ((*keys)[1].from, 60);
  EXPECT_EQ((*keys)[1].until, 86'400);
  EXPECT_EQ((*keys)[1].secret[31], 0xaa);
}

TEST(Keys, ThatAreWrongAreRefusedByLineAndNeverShown) {
  EXPECT_THAT(Refusal(""), HasSubstr("no key"));
  EXPECT_THAT(Refusal("\na - -"), HasSubstr("line 2"));
  EXPECT_THAT(Refusal("a/b - - " + kHex), HasSubstr("an id is"));
  EXPECT_THAT(Refusal("a yesterday - " + kHex), HasSubstr("a time is"));
  EXPECT_THAT(Refusal("a 2026-02-30T00:00:00Z - " + kHex), HasSubstr("a time is"));
  EXPECT_THAT(Refusal("a 2026-02-03T00:00:00Z 2026-02-02T00:00:00Z " + kHex),
              HasSubstr("ends before"));
  EXPECT_THAT(Refusal("a - - abcd"), AllOf(HasSubstr("64"), Not(HasSubstr("abcd"))));
  EXPECT_THAT(Refusal("a - - g" + kHex.substr(1)), HasSubstr("64"));
  EXPECT_THAT(Refusal("a - - " + kHex + "\na - - " + kHex), HasSubstr("twice"));
  EXPECT_THAT(Refusal(std::string(kMaxKeyFileBytes + 1, '\n')), HasSubstr("at most"));
}

TEST(Keys, AreChosenByTheirTimes) {
  const auto keys = ParseKeys("old - 1970-01-01T00:02:00Z " + kHex +
                              "\nnew 1970-01-01T00:01:00Z 1970-01-01T00:03:00Z " + kHex);
  ASSERT_TRUE(keys.has_value());
  const auto chosen = [&](Seconds now) {
    const Key* key = ChooseKey(*keys, now);
    return key == nullptr ? "none" : key->id;
  };
  EXPECT_EQ(chosen(59), "old");
  EXPECT_EQ(chosen(60), "new");
  EXPECT_EQ(chosen(179), "new");
  EXPECT_EQ(chosen(180), "none");
  EXPECT_THAT(keys->back().WhyNot(180), HasSubstr("expired at 1970-01-01T00:03:00Z"));
  EXPECT_THAT(keys->back().WhyNot(0), HasSubstr("clock says 1970-01-01T00:00:00Z"));
}

class KeyFiles : public testing::Test {
 protected:
  KeyFiles() {
    std::string name = testing::TempDir() + "/keys-XXXXXX";
    directory_ = ::mkdtemp(name.data());
    path_ = directory_ + "/keys";
  }
  ~KeyFiles() override { std::filesystem::remove_all(directory_); }
  // As an editor does: another file in its place.
  void Write(const std::string& text, mode_t mode = 0600) const {
    std::ofstream(path_ + ".new") << text;
    ::chmod((path_ + ".new").c_str(), mode);
    std::filesystem::rename(path_ + ".new", path_);
  }
  std::string directory_, path_;
};

TEST_F(KeyFiles, AreReadAgainWhenTheyChangeAndKeptWhenTheyBreak) {
  Write("one - - " + kHex);
  std::vector<std::string> complaints;
  auto file = KeyFile::Open(path_, SystemSeconds(),
                            [&](const std::string& text) { complaints.push_back(text); });
  ASSERT_TRUE(file.has_value()) << file.error().message;
  EXPECT_EQ((*file)->Current()->front().id, "one");
  Write("two - - " + kHex);
  EXPECT_EQ((*file)->Current()->front().id, "two");
  Write("nonsense, and longer than before: not to be taken for what was there");
  EXPECT_EQ((*file)->Current()->front().id, "two");
  EXPECT_EQ((*file)->Current()->front().id, "two");
  EXPECT_EQ(complaints.size(), 1U);
}

TEST_F(KeyFiles, ThatEverybodyMayReadAreRefused) {
  Write("one - - " + kHex, 0644);
  const auto file = KeyFile::Open(path_);
  ASSERT_FALSE(file.has_value());
  EXPECT_EQ(file.error().code, ErrorCode::kForbidden);
  EXPECT_FALSE(KeyFile::Open(directory_ + "/none").has_value());
}

}  // namespace
}  // namespace zerocloud::peer
