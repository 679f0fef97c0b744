#include "middleware/node/spool.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>

namespace zerocloud::node {
namespace {

class SpoolTest : public testing::Test {
 protected:
  SpoolTest() {
    std::string name = testing::TempDir() + "/spool-XXXXXX";
    directory_ = ::mkdtemp(name.data());
    spool = Spool::Open(directory_, 1'000'000).value();
  }
  ~SpoolTest() override {
    EXPECT_TRUE(std::filesystem::is_empty(directory_));
    std::filesystem::remove_all(directory_);
  }

  static UniqueFd Written(JobSpool& job, const std::string& text) {
    UniqueFd file = std::move(job.NewFile().value());
    EXPECT_EQ(::pwrite(file.get(), text.data(), text.size(), 0), static_cast<ssize_t>(text.size()));
    return file;
  }
  static std::string ReadBack(JobSpool& job, const Piece& piece) {
    std::string text;
    std::string buffer(1000, '\0');
    for (;;) {
      const std::span<char> span(buffer);
      const std::size_t got = job.Read(piece, text.size(), std::as_writable_bytes(span)).value();
      if (got == 0) return text;
      text += buffer.substr(0, got);
    }
  }

  std::shared_ptr<Spool> spool;

 private:
  std::string directory_;
};

TEST_F(SpoolTest, KeepsSmallAndLargePieces) {
  JobSpool job(spool, 1'000'000);
  std::vector<std::string> texts = {"", "a", std::string(5000, 'b'), std::string(300'000, 'c')};
  std::vector<Piece> pieces;
  pieces.reserve(texts.size());
  for (const std::string& text : texts) {
    pieces.push_back(std::move(job.Keep(Written(job, text + "cut off"), text.size()).value()));
  }
  EXPECT_FALSE(pieces[2].file.is_open()) << "packed";
  EXPECT_TRUE(pieces[3].file.is_open());
  for (std::size_t i = 0; i < texts.size(); ++i) {
    EXPECT_EQ(ReadBack(job, pieces[i]), texts[i]);
    const UniqueFd file = std::move(job.AsFile(pieces[i]).value());
    EXPECT_EQ(::lseek(file.get(), 0, SEEK_END), static_cast<off_t>(texts[i].size()));
  }
  EXPECT_EQ(spool->used(), 305'001U);
  for (Piece& piece : pieces) job.Drop(piece);
  EXPECT_EQ(spool->used(), 0U);
}

TEST_F(SpoolTest, BothLimitsHoldAndAreNamed) {
  JobSpool small(spool, 10);
  EXPECT_EQ(small.left(), 10U);
  const Piece piece = std::move(small.Keep(Written(small, "12345678"), 8).value());
  EXPECT_EQ(small.left(), 2U);
  const Result<Piece> more = small.Keep(Written(small, "123"), 3);
  ASSERT_FALSE(more.has_value());
  EXPECT_EQ(more.error().code, ErrorCode::kLimitExceeded);
  EXPECT_TRUE(more.error().message.contains("job_spool_bytes is 10")) << more.error().message;

  JobSpool large(spool, 2'000'000);
  const Result<Piece> full = large.Keep(Written(large, "x"), 1'000'000);
  ASSERT_FALSE(full.has_value());
  EXPECT_EQ(full.error().code, ErrorCode::kUnavailable);
  EXPECT_EQ(spool->used(), 8U) << "a refusal keeps nothing";
}

TEST_F(SpoolTest, AJobGivesEverythingBack) {
  {
    JobSpool job(spool, 1'000'000);
    const Piece piece = std::move(job.Keep(Written(job, "12345678"), 8).value());
    EXPECT_EQ(spool->used(), 8U);
  }
  EXPECT_EQ(spool->used(), 0U);
}

TEST_F(SpoolTest, FetchedBytesCountUntilTheyGo) {
  const auto job = std::make_shared<JobSpool>(spool, 10);
  {
    FetchedBytes fetched(job);
    EXPECT_TRUE(fetched.CountTo(4).has_value());
    EXPECT_TRUE(fetched.CountTo(8).has_value());
    EXPECT_TRUE(fetched.CountTo(2).has_value());
    EXPECT_EQ(spool->used(), 8U);
    EXPECT_EQ(job->left(), 2U);
    EXPECT_EQ(fetched.CountTo(11).error().code, ErrorCode::kLimitExceeded);
    FetchedBytes other(std::make_shared<JobSpool>(spool, 2'000'000));
    EXPECT_EQ(other.CountTo(1'000'000).error().code, ErrorCode::kUnavailable);
    EXPECT_EQ(spool->used(), 8U) << "a refusal counts nothing";
  }
  EXPECT_EQ(spool->used(), 0U);
  EXPECT_EQ(job->used(), 0U);
}

TEST_F(SpoolTest, AFileShorterThanReportedIsAnError) {
  JobSpool job(spool, 1'000'000);
  EXPECT_FALSE(job.Keep(Written(job, "short"), 100).has_value());
  EXPECT_EQ(spool->used(), 0U);
}

}  // namespace
}  // namespace zerocloud::node
