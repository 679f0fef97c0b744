#include "middleware/upstream/range_server.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <random>

#include "sandbox/runtime/calls_asked.h"

namespace zerocloud::upstream {
namespace {

using runtime::AskedRange;
using ::testing::HasSubstr;

// A place in the object with 1000 bytes behind it.
std::int64_t NextOffset(std::minstd_rand& random) {
  return static_cast<std::int64_t>(random() % (20'000'001 - 1000));
}

class RangeServerTest : public testing::Test {
 protected:
  RangeServerTest() {
    std::minstd_rand random(7);
    object_.resize(20'000'001);
    for (char& c : object_) c = static_cast<char>(random());
  }
  void Serve() {
    auto socket = server_->Serve(
        object_.size(),
        [this](std::uint64_t offset, std::uint64_t size,
               const RangeServer::Take& take) -> Result<void> {
          const std::lock_guard lock(mutex_);
          if (refusal_) return std::unexpected(*refusal_);
          ++fetches_;
          fetched_ += size;
          const auto bytes = std::as_bytes(std::span(object_).subspan(offset, size));
          if (auto taken = take(bytes.first(size / 2)); !taken) return taken;
          return take(bytes.subspan(size / 2));
        },
        failure_);
    ASSERT_TRUE(socket.has_value()) << socket.error().message;
    socket_ = std::move(*socket);
  }
  void Ask(std::int64_t offset, std::int64_t size) {
    const AskedRange range{offset, size};
    ASSERT_EQ(::send(socket_.get(), &range, sizeof range, MSG_NOSIGNAL), sizeof range);
  }
  std::string Answer(std::int64_t size) {
    std::string bytes(static_cast<std::size_t>(size), '\0');
    const ssize_t got = ::recv(socket_.get(), bytes.data(), bytes.size(), MSG_WAITALL);
    bytes.resize(static_cast<std::size_t>(std::max<ssize_t>(got, 0)));
    return bytes;
  }
  void ExpectRead(std::int64_t offset, std::int64_t size) {
    Ask(offset, size);
    EXPECT_TRUE(Answer(size) ==
                object_.substr(static_cast<std::size_t>(offset), static_cast<std::size_t>(size)))
        << offset << " " << size;
  }

  // Why it failed, or nothing.
  [[nodiscard]] std::string Failure() const {
    return failure_->Get().value_or(Error{ErrorCode::kInternal, ""}).message;
  }

  std::string object_;
  std::mutex mutex_;
  std::uint64_t fetched_ = 0;
  int fetches_ = 0;
  std::optional<Error> refusal_;
  std::shared_ptr<store::LateFailure> failure_ = std::make_shared<store::LateFailure>();
  UniqueFd socket_;
  std::unique_ptr<RangeServer> server_ = std::make_unique<RangeServer>("/tmp");  // ends first
};

TEST_F(RangeServerTest, FetchesLittleMoreThanWhatIsReadHereAndThere) {
  Serve();
  std::minstd_rand random(1);
  std::int64_t read = 0;
  for (int i = 0; i < 200; ++i) {
    ExpectRead(NextOffset(random), 1000);
    read += 1000;
  }
  EXPECT_LE(fetched_, 200 * 2 * 4096U);
  const std::uint64_t before = fetched_;
  random.seed(1);
  for (int i = 0; i < 200; ++i) ExpectRead(NextOffset(random), 1000);
  EXPECT_EQ(fetched_, before);  // nothing twice
  EXPECT_EQ(read, 200'000);
}

TEST_F(RangeServerTest, FetchesAheadWhereReadsFollowEachOther) {
  Serve();
  for (std::int64_t at = 0; at < 20'000'001; at += 10'000) {
    ExpectRead(at, std::min<std::int64_t>(10'000, 20'000'001 - at));
  }
  EXPECT_EQ(fetched_, object_.size());
  EXPECT_LT(fetches_, 30);
}

TEST_F(RangeServerTest, AnswersReadsOfEverySize) {
  Serve();
  ExpectRead(0, 20'000'001);
  ExpectRead(20'000'000, 1);
  ExpectRead(4095, 2);
  EXPECT_EQ(fetched_, object_.size());
}

TEST_F(RangeServerTest, ClosesWhereAFetchFailsAndKeepsTheReason) {
  Serve();
  ExpectRead(5'000'000, 10);
  {
    const std::lock_guard lock(mutex_);
    refusal_ = Error{ErrorCode::kConflict, "replaced"};
  }
  ExpectRead(5'000'000, 10);  // kept
  Ask(0, 10);
  EXPECT_EQ(Answer(10), "");
  EXPECT_EQ(Failure(), "replaced");
}

TEST_F(RangeServerTest, RefusesQuestionsBeyondTheObject) {
  for (const auto& [offset, size] :
       std::vector<std::pair<std::int64_t, std::int64_t>>{{-1, 10},
                                                          {0, 0},
                                                          {0, -1},
                                                          {20'000'001, 1},
                                                          {20'000'000, 2},
                                                          {INT64_MAX, INT64_MAX},
                                                          {1, INT64_MAX}}) {
    failure_ = std::make_shared<store::LateFailure>();
    Serve();
    Ask(offset, size);
    EXPECT_EQ(Answer(1), "");
    EXPECT_THAT(Failure(), HasSubstr("does not have"));
  }
  EXPECT_EQ(fetches_, 0);
}

TEST_F(RangeServerTest, EndsWithItsSessionsOrByItself) {
  for (std::int64_t i = 0; i < 50; ++i) {
    Serve();
    ExpectRead(i * 100'000, 100);
  }
  Serve();
  Ask(0, 20'000'001);  // and nobody takes the answer
  server_.reset();
}

TEST_F(RangeServerTest, NeedsAPlaceToKeepBytes) {
  RangeServer nowhere("/nonexistent");
  EXPECT_FALSE(nowhere.Serve(1, {}, failure_).has_value());
}

}  // namespace
}  // namespace zerocloud::upstream
