#include "middleware/plan/plan_state.h"

#include <gtest/gtest.h>

#include "middleware/plan/random_plan.h"

namespace zerocloud::plan {
namespace {

// Groups a, b, c ... of the given sizes, connected as told.
Plan Graph(const std::vector<std::size_t>& sizes,
           const std::vector<std::vector<std::size_t>>& connect) {
  job::JobSpec spec;
  for (std::size_t i = 0; i < sizes.size(); ++i) {
    job::Group& group = spec.groups.emplace_back();
    group.name = std::string(1, static_cast<char>('a' + i));
    group.count = sizes[i];
    group.connect = connect[i];
  }
  EmptyListing listing;
  return std::move(Expand(std::move(spec), {}, {}, listing).value());
}

// What starts now, all of it.
std::vector<std::size_t> StartAll(PlanState& state) {
  std::vector<std::size_t> started;
  while (const std::optional<Unit> unit = state.Next()) {
    started.insert(started.end(), unit->sessions.begin(), unit->sessions.end());
    state.Start(*unit);
  }
  return started;
}

using Sessions = std::vector<std::size_t>;

TEST(PlanState, ReadersStartWhenAllTheirWritersHaveEnded) {
  //  a(0,1) -> b(2) -> c(3)
  const Plan plan = Graph({2, 1, 1}, {{1}, {2}, {}});
  PlanState state(plan);
  EXPECT_EQ(StartAll(state), (Sessions{0, 1}));
  state.Finish(1, true);
  EXPECT_EQ(StartAll(state), Sessions{});
  state.Finish(0, true);
  EXPECT_EQ(StartAll(state), Sessions{2});
  EXPECT_FALSE(state.is_done());
  state.Finish(2, true);
  EXPECT_EQ(StartAll(state), Sessions{3});
  state.Finish(3, true);
  EXPECT_TRUE(state.is_done());
  EXPECT_TRUE(state.has_succeeded());
}

TEST(PlanState, AGangIsOneUnit) {
  //  a(0) -> b(1,2) <-> c(3)
  const Plan plan = Graph({1, 2, 1}, {{1}, {2}, {1}});
  PlanState state(plan);
  EXPECT_EQ(StartAll(state), Sessions{0});
  state.Finish(0, true);
  EXPECT_EQ(state.Next().value_or(Unit{}).sessions.size(), 3U);
}

TEST(PlanState, FailedSessionCancelsWhatHasNotStarted) {
  //  a(0) -> c(2),  b(1)
  const Plan plan = Graph({1, 1, 1}, {{2}, {}, {}});
  PlanState state(plan);
  StartAll(state);
  state.Finish(0, false);
  EXPECT_FALSE(state.Next().has_value());
  EXPECT_FALSE(state.is_done()) << "b still runs";
  state.Finish(1, true);
  EXPECT_TRUE(state.is_done());
  EXPECT_FALSE(state.has_succeeded());
  EXPECT_EQ(state.state(2), SessionState::kWaiting);
  EXPECT_EQ(state.state(0), SessionState::kFailed);
}

TEST(PlanState, CancelledBeforeTheStartIsDoneAtOnce) {
  const Plan plan = Graph({1}, {{}});
  PlanState state(plan);
  state.Cancel();
  EXPECT_TRUE(state.is_done());
  EXPECT_FALSE(state.has_succeeded());
}

// Every invariant after every step, over random graphs with random failures and cancels.
TEST(PlanState, KeepsItsPromisesOnRandomPlans) {
  std::mt19937 random(20130611);
  for (int round = 0; round < 2000; ++round) {
    const Plan plan = RandomPlan(random);
    PlanState state(plan);
    const bool may_fail = random() % 3 == 0;
    std::vector<std::size_t> running;
    std::vector<int> starts(plan.sessions.size(), 0);
    bool has_failed = false;
    while (!state.is_done()) {
      const std::optional<Unit> unit = state.Next();
      const bool can_finish = !running.empty();
      ASSERT_TRUE(unit || can_finish) << "stuck";
      if (unit && (!can_finish || random() % 2 == 0)) {
        ASSERT_FALSE(has_failed);
        for (const std::size_t session : unit->sessions) {
          ++starts[session];
          running.push_back(session);
          for (const std::size_t edge : plan.sessions[session].in) {
            if (plan.edges[edge].is_stream) {
              const auto mates = unit->sessions;
              ASSERT_NE(std::ranges::find(mates, plan.edges[edge].from), mates.end());
            } else {
              ASSERT_EQ(state.state(plan.edges[edge].from), SessionState::kSucceeded);
            }
          }
        }
        state.Start(*unit);
      } else {
        const std::size_t at = random() % running.size();
        const std::size_t session = running[at];
        running.erase(running.begin() + static_cast<std::ptrdiff_t>(at));
        const bool fails = may_fail && random() % 10 == 0;
        has_failed |= fails;
        state.Finish(session, !fails);
      }
      ASSERT_EQ(state.running(), running.size());
    }
    EXPECT_EQ(state.has_succeeded(), !has_failed);
    for (const int count : starts) {
      EXPECT_LE(count, 1);
      if (!has_failed) {
        EXPECT_EQ(count, 1);
      }
    }
  }
}

}  // namespace
}  // namespace zerocloud::plan
