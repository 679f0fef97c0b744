#include "sandbox/runtime/verdict_cache.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>

namespace zerocloud::runtime {
namespace {

class VerdictCacheTest : public testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = testing::TempDir() + "verdict_cache.XXXXXX";
    ASSERT_NE(::mkdtemp(pattern.data()), nullptr);
    directory_ = pattern;
  }
  void TearDown() override { std::filesystem::remove_all(directory_); }
  [[nodiscard]] std::string File() const { return directory_ + "/" + digest_; }
  [[nodiscard]] bool HasAccepted() const {
    const auto cache = VerdictCache::Open(directory_);
    return cache && cache->HasAccepted(digest_);
  }
  void Accept() const {
    const auto cache = VerdictCache::Open(directory_);
    ASSERT_TRUE(cache.has_value()) << cache.error().message;
    ASSERT_TRUE(cache->Accept(digest_).has_value());
  }

  std::string directory_;
  std::string digest_ = std::string(64, 'a');
};

TEST_F(VerdictCacheTest, RemembersWhatWasAccepted) {
  EXPECT_FALSE(HasAccepted());
  Accept();
  EXPECT_TRUE(HasAccepted());
  Accept();
  EXPECT_TRUE(HasAccepted());
  const auto cache = VerdictCache::Open(directory_);
  EXPECT_FALSE(cache->HasAccepted(std::string(64, 'b')));
  EXPECT_FALSE(cache->HasAccepted("../" + digest_));
  EXPECT_EQ(std::distance(std::filesystem::directory_iterator(directory_), {}), 1);
}

TEST_F(VerdictCacheTest, DoesNotBelieveADirectoryThatOthersMayWrite) {
  Accept();
  for (const mode_t mode : {0777U, 0770U, 0702U}) {
    ASSERT_EQ(::chmod(directory_.c_str(), mode), 0);
    const auto cache = VerdictCache::Open(directory_);
    ASSERT_FALSE(cache.has_value()) << mode;
    EXPECT_EQ(cache.error().code, ErrorCode::kForbidden);
  }
  ASSERT_EQ(::chmod(directory_.c_str(), 0700), 0);
  EXPECT_TRUE(HasAccepted());
  const std::string link = directory_ + ".link";
  ASSERT_EQ(::symlink(directory_.c_str(), link.c_str()), 0);
  EXPECT_FALSE(VerdictCache::Open(link).has_value());
  ::unlink(link.c_str());
}

TEST_F(VerdictCacheTest, DoesNotBelieveAVerdictThatOthersMayHaveWritten) {
  Accept();
  ASSERT_EQ(::chmod(File().c_str(), 0622), 0);
  EXPECT_FALSE(HasAccepted());
  ASSERT_EQ(::chmod(File().c_str(), 0600), 0);
  EXPECT_TRUE(HasAccepted());
  std::filesystem::rename(File(), directory_ + "/elsewhere");
  ASSERT_EQ(::symlink("elsewhere", File().c_str()), 0);
  EXPECT_FALSE(HasAccepted());
}

TEST_F(VerdictCacheTest, DoesNotBelieveTheVerdictOfAnotherUser) {
  if (::geteuid() != 0) GTEST_SKIP() << "only root can give files away";
  Accept();
  ASSERT_EQ(::chown(File().c_str(), 65534, 65534), 0);
  EXPECT_FALSE(HasAccepted());
  ASSERT_EQ(::chown(directory_.c_str(), 65534, 65534), 0);
  EXPECT_FALSE(VerdictCache::Open(directory_).has_value());
}

TEST_F(VerdictCacheTest, VerdictOfAnotherVerifierOrProgramIsVoid) {
  const std::string other(64, '0');
  for (const StoredVerdict& verdict :
       {StoredVerdict{digest_, other}, StoredVerdict{other, std::string(VerifierVersion())}}) {
    std::ofstream(File()) << RenderVerdict(verdict);
    ASSERT_EQ(::chmod(File().c_str(), 0600), 0);
    EXPECT_FALSE(HasAccepted());
  }
}

TEST(StoredVerdict, IsReadOnlyAsItIsWritten) {
  const StoredVerdict verdict{std::string(64, '1'), std::string(VerifierVersion())};
  const std::string text = RenderVerdict(verdict);
  const auto parsed = ParseVerdict(text);
  ASSERT_TRUE(parsed.has_value()) << parsed.error().message;
  EXPECT_EQ(*parsed, verdict);
  for (std::size_t i = 0; i < text.size(); ++i) {
    std::string bad = text;
    bad[i] = 'Z';
    EXPECT_FALSE(ParseVerdict(bad).has_value()) << i;
    EXPECT_FALSE(ParseVerdict(text.substr(0, i)).has_value()) << i;
  }
  EXPECT_FALSE(ParseVerdict(text + "x").has_value());
}

}  // namespace
}  // namespace zerocloud::runtime
