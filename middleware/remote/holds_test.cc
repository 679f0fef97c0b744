#include "middleware/remote/holds.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <array>
#include <cstdlib>
#include <filesystem>
#include <string>
#include <string_view>

namespace zerocloud::remote {
namespace {

constexpr std::chrono::milliseconds kSilence{10'000};

class HoldsTest : public testing::Test {
 protected:
  HoldsTest() {
    std::string name = testing::TempDir() + "/holds-XXXXXX";
    directory_ = ::mkdtemp(name.data());
    auto opened = node::Spool::Open(directory_, 1000);
    EXPECT_TRUE(opened.has_value());
    if (opened) spool = std::move(*opened);
    holds = std::make_unique<Holds>(spool, kSilence);
  }
  ~HoldsTest() override { std::filesystem::remove_all(directory_); }

  Result<void> Add(const std::string& proxy, const std::string& id, std::string_view text) {
    Result<UniqueFd> file = spool->NewFile();
    if (!file) return Fail(file);
    EXPECT_EQ(::pwrite(file->get(), text.data(), text.size(), 0),
              static_cast<ssize_t>(text.size()));
    return holds->Add(proxy, id, std::move(*file), text.size());
  }
  [[nodiscard]] std::string Read(const std::string& proxy, const std::string& id) const {
    const std::shared_ptr<const Hold> hold = holds->Find(proxy, id);
    if (hold == nullptr) return "none";
    std::string text(hold->size(), '\0');
    const std::span<char> span(text);
    return hold->Read(0, std::as_writable_bytes(span)).value_or(0) == text.size() ? text : "short";
  }

  std::string directory_;
  std::shared_ptr<node::Spool> spool;
  std::unique_ptr<Holds> holds;
};

TEST_F(HoldsTest, AreKnownByTheirProxyAndTheirId) {
  EXPECT_TRUE(Add("p", "1", "one").has_value());
  EXPECT_TRUE(Add("q", "2", "two").has_value());
  EXPECT_EQ(Read("p", "1"), "one");
  EXPECT_EQ(Read("q", "2"), "two");
  EXPECT_EQ(Read("q", "1"), "none");
  EXPECT_EQ(Read("p", "2"), "none");
  EXPECT_EQ(Read("", "1"), "none");
}

TEST_F(HoldsTest, AreNotReplaced) {
  EXPECT_TRUE(Add("p", "1", "one").has_value());
  const Result<void> again = Add("p", "1", "two");
  EXPECT_FALSE(again.has_value());
  EXPECT_EQ(Read("p", "1"), "one");
  EXPECT_EQ(spool->used(), 3U);
}

TEST_F(HoldsTest, AreDroppedByTheirProxyOnly) {
  EXPECT_TRUE(Add("p", "1", "one").has_value());
  const std::array<std::string, 2> ids = {"1", "unknown"};
  holds->Drop("q", ids);
  EXPECT_EQ(Read("p", "1"), "one");
  holds->Drop("p", ids);
  EXPECT_EQ(Read("p", "1"), "none");
  EXPECT_EQ(spool->used(), 0U);
}

TEST_F(HoldsTest, CanBeReadWhileTheyAreDropped) {
  EXPECT_TRUE(Add("p", "1", "one").has_value());
  const std::shared_ptr<const Hold> hold = holds->Find("p", "1");
  holds->Drop("p", std::array<std::string, 1>{"1"});
  std::array<std::byte, 3> bytes{};
  EXPECT_EQ(hold->Read(0, bytes).value_or(0), 3U);
  EXPECT_EQ(bytes[0], std::byte{'o'});
}

TEST_F(HoldsTest, GiveWayWhereTheyAreSpare) {
  EXPECT_TRUE(Add("p", "1", "one").has_value());
  EXPECT_TRUE(Add("p", "2", "two").has_value());
  EXPECT_FALSE(holds->MakeRoom());
  holds->Spare("q", std::array<std::string, 1>{"2"});
  EXPECT_FALSE(holds->MakeRoom());
  holds->Spare("p", std::array<std::string, 1>{"1"});
  EXPECT_TRUE(holds->MakeRoom());
  EXPECT_EQ(Read("p", "1"), "none");
  EXPECT_EQ(Read("p", "2"), "two");
}

TEST_F(HoldsTest, TakeNoMoreThanTheSpool) {
  const Result<void> added = Add("p", "1", std::string(1001, 'x'));
  ASSERT_FALSE(added.has_value());
  EXPECT_EQ(holds->count(), 0U);
  EXPECT_EQ(spool->used(), 0U);
}

TEST_F(HoldsTest, AreForgottenWithTheirProxy) {
  EXPECT_TRUE(Add("p", "1", "one").has_value());
  EXPECT_TRUE(Add("q", "2", "two").has_value());
  const Holds::Clock::time_point later = Holds::Clock::now() + kSilence * 2;
  holds->Heard("q", later);
  holds->Heard("nobody", later);
  holds->ForgetSilent(later);
  EXPECT_EQ(Read("p", "1"), "none");
  EXPECT_EQ(Read("q", "2"), "two");
  EXPECT_EQ(spool->used(), 3U);
  EXPECT_TRUE(Add("p", "1", "new").has_value());
}

}  // namespace
}  // namespace zerocloud::remote
