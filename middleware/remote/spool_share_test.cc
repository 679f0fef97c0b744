#include "middleware/remote/spool_share.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <limits>
#include <optional>
#include <string>
#include <vector>

namespace zerocloud::remote {
namespace {

class SpoolShareTest : public testing::Test {
 protected:
  // Held for proxy "p" under that id.
  void Hold(const std::string& id, std::size_t size) {
    UniqueFd file = std::move(*spool_->NewFile());
    const std::string bytes(size, 'x');
    EXPECT_EQ(::pwrite(file.get(), bytes.data(), size, 0), static_cast<ssize_t>(size));
    EXPECT_TRUE(holds_.Add("p", id, std::move(file), size).has_value());
  }

  std::shared_ptr<node::Spool> spool_ = *node::Spool::Open(testing::TempDir(), 1000);
  Holds holds_{spool_, std::chrono::minutes(1)};
  std::atomic<std::uint64_t> all_ = 0;
};

TEST_F(SpoolShareTest, WhatDoesNotFitIsNotCounted) {
  SpoolShare here(*spool_, holds_, all_);
  here.SetWritten(400);
  SpoolShare stranger(*spool_, holds_, all_);
  for (const std::uint64_t much : {std::uint64_t{601}, std::numeric_limits<std::uint64_t>::max()}) {
    EXPECT_FALSE(stranger.Reserve(much));
    EXPECT_EQ(all_, 400U);
    EXPECT_FALSE(here.IsFull());  // or its session would end
  }
  EXPECT_TRUE(stranger.Reserve(600));
  EXPECT_FALSE(stranger.Reserve(1));
  EXPECT_EQ(all_, 1000U);
}

TEST_F(SpoolShareTest, WhatIsWrittenCountsThoughThereIsNoRoom) {
  SpoolShare share(*spool_, holds_, all_);
  share.SetWritten(1001);
  EXPECT_TRUE(share.IsFull());
  EXPECT_FALSE(share.Reserve(0));
  share.SetWritten(5);
  EXPECT_FALSE(share.IsFull());
  EXPECT_EQ(all_, 5U);
}

TEST_F(SpoolShareTest, WhatIsHeldCountsUntilItNeedNotBe) {
  Hold("kept", 300);
  Hold("spare", 300);
  holds_.Spare("p", std::vector<std::string>{"spare"});
  SpoolShare share(*spool_, holds_, all_);
  EXPECT_FALSE(share.Reserve(701));
  EXPECT_TRUE(share.Reserve(700));
  EXPECT_EQ(holds_.count(), 1U);
  EXPECT_FALSE(share.IsFull());
}

TEST_F(SpoolShareTest, ASessionThatEndsGivesAllBack) {
  auto share = std::make_optional<SpoolShare>(*spool_, holds_, all_);
  EXPECT_TRUE(share->Reserve(100));
  EXPECT_TRUE(share->Reserve(100));
  share->SetWritten(50);
  EXPECT_EQ(all_, 250U);
  share.reset();
  EXPECT_EQ(all_, 0U);
}

}  // namespace
}  // namespace zerocloud::remote
