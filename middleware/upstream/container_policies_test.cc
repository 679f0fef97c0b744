#include "middleware/upstream/container_policies.h"

#include <gtest/gtest.h>

#include <atomic>
#include <latch>
#include <thread>
#include <vector>

namespace zerocloud::upstream {
namespace {

using Policy = std::optional<std::string>;

class ContainerPoliciesTest : public testing::Test {
 protected:
  ContainerPolicies Make(std::size_t containers = 100) {
    return ContainerPolicies(
        [this](const store::Caller& caller, const std::string&, const std::string& container) {
          ++asked;
          if (on_ask) on_ask();
          return caller.token == "may" ? Policy("policy of " + container) : Policy();
        },
        {.containers = containers}, [this] { return now; });
  }
  store::Caller may{.account = "a", .user = {}, .token = "may"};
  store::Caller may_not{.account = "a", .user = {}, .token = "may not"};
  ContainerPolicies::Clock::time_point now{std::chrono::hours(1)};
  std::atomic<int> asked = 0;
  std::function<void()> on_ask;
};

TEST_F(ContainerPoliciesTest, AreAskedOnceInAWhile) {
  ContainerPolicies policies = Make();
  for (int i = 0; i < 3; ++i) EXPECT_EQ(policies.Of(may, "a", "c"), "policy of c");
  EXPECT_EQ(policies.Of(may_not, "a", "c"), "policy of c") << "no right depends on it";
  EXPECT_EQ(asked, 1);
  EXPECT_EQ(policies.Of(may, "b", "c"), "policy of c");
  EXPECT_EQ(asked, 2);
  now += std::chrono::hours(1);
  EXPECT_EQ(policies.Of(may, "a", "c"), "policy of c");
  EXPECT_EQ(asked, 3);
}

TEST_F(ContainerPoliciesTest, ThatAreNotToldAreSoonAskedAgain) {
  ContainerPolicies policies = Make();
  for (int i = 0; i < 3; ++i) EXPECT_EQ(policies.Of(may_not, "a", "c"), Policy());
  EXPECT_EQ(asked, 1);
  now += std::chrono::seconds(6);
  EXPECT_EQ(policies.Of(may, "a", "c"), "policy of c");
}

TEST_F(ContainerPoliciesTest, AreLearntFromListings) {
  ContainerPolicies policies = Make();
  policies.Learn("a", "c", "gold");
  EXPECT_EQ(policies.Of(may, "a", "c"), "gold");
  EXPECT_EQ(asked, 0);
  // And while one is asked that does not get to know it.
  on_ask = [&] { policies.Learn("a", "d", "silver"); };
  EXPECT_EQ(policies.Of(may_not, "a", "d"), "silver");
}

TEST_F(ContainerPoliciesTest, AreBounded) {
  ContainerPolicies policies = Make(3);
  for (int i = 0; i < 100; ++i) {
    now += std::chrono::milliseconds(1);
    policies.Learn("a", std::to_string(i), "gold");
    EXPECT_LE(policies.size(), 3U);
    EXPECT_EQ(policies.Of(may, "a", std::to_string(i)), "gold");
  }
  EXPECT_EQ(policies.Of(may, "a", "98"), "gold");
  EXPECT_EQ(policies.Of(may, "a", "0"), "policy of 0");
}

TEST_F(ContainerPoliciesTest, AreAskedOnceForAllWhoWait) {
  ContainerPolicies policies = Make();
  std::latch all(5);
  on_ask = [&] { all.wait(); };  // until the others are there, or nearly
  std::vector<std::thread> threads;
  std::atomic<int> told = 0;
  threads.reserve(5);
  for (int i = 0; i < 5; ++i) {
    threads.emplace_back([&] {
      all.count_down();
      if (policies.Of(may, "a", "c") == "policy of c") ++told;
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(told, 5);
  EXPECT_EQ(asked, 1);
}

}  // namespace
}  // namespace zerocloud::upstream
