#include "middleware/plan/scheduler.h"

#include <gtest/gtest.h>

#include <map>

#include "middleware/plan/random_plan.h"

namespace zerocloud::plan {
namespace {

Plan Sessions(std::size_t count, bool is_gang) {
  job::JobSpec spec;
  job::Group& group = spec.groups.emplace_back();
  group.name = "a";
  group.count = count;
  if (is_gang) group.connect = {0};
  EmptyListing listing;
  return std::move(Expand(std::move(spec), {}, {}, listing).value());
}

TEST(Scheduler, FillsTheSlotsAndNoMore) {
  const Plan plan = Sessions(5, false);
  PlanState state(plan);
  Scheduler scheduler(2);
  scheduler.Add(1, state);
  EXPECT_TRUE(scheduler.Next().has_value());
  EXPECT_TRUE(scheduler.Next().has_value());
  EXPECT_FALSE(scheduler.Next().has_value());
  scheduler.Release(1);
  EXPECT_TRUE(scheduler.Next().has_value());
  EXPECT_FALSE(scheduler.Next().has_value());
}

TEST(Scheduler, JobsTakeTurns) {
  const Plan plan = Sessions(3, false);
  PlanState one(plan);
  PlanState two(plan);
  Scheduler scheduler(4);
  scheduler.Add(1, one);
  scheduler.Add(2, two);
  std::vector<Scheduler::JobId> order;
  while (const auto grant = scheduler.Next()) order.push_back(grant->job);
  EXPECT_EQ(order, (std::vector<Scheduler::JobId>{1, 2, 1, 2}));
}

TEST(Scheduler, AGangLargerThanTheSlotsRunsAlone) {
  const Plan small = Sessions(4, false);
  const Plan large = Sessions(5, true);
  PlanState one(small);
  PlanState gang(large);
  Scheduler scheduler(2);
  scheduler.Add(1, one);
  scheduler.Add(2, gang);
  EXPECT_EQ(scheduler.Next()->job, 1U);
  EXPECT_FALSE(scheduler.Next().has_value()) << "the gang's turn: nobody overtakes it";
  scheduler.Release(1);
  const auto grant = scheduler.Next();
  ASSERT_TRUE(grant.has_value());
  EXPECT_EQ(grant->job, 2U);
  EXPECT_EQ(grant->unit.sessions.size(), 5U);
  EXPECT_FALSE(scheduler.Next().has_value());
  scheduler.Release(5);
  EXPECT_EQ(scheduler.Next()->job, 1U);
}

TEST(Scheduler, RemovedJobsStartNothing) {
  const Plan plan = Sessions(3, false);
  PlanState state(plan);
  Scheduler scheduler(4);
  scheduler.Add(1, state);
  ASSERT_TRUE(scheduler.Next().has_value());
  scheduler.Remove(1);
  EXPECT_FALSE(scheduler.Next().has_value());
  EXPECT_EQ(scheduler.used(), 1U);
}

// Random jobs, gangs among them, in random order on few slots: all of them end.
TEST(Scheduler, NoOrderOfJobsDeadlocks) {
  std::mt19937 random(7);
  for (int round = 0; round < 300; ++round) {
    const std::size_t slots = 1 + random() % 6;
    Scheduler scheduler(slots);
    std::vector<Plan> plans;
    for (std::size_t i = 0; i < 1 + random() % 5; ++i) plans.push_back(RandomPlan(random));
    std::map<Scheduler::JobId, PlanState> states;
    for (std::size_t i = 0; i < plans.size(); ++i) states.try_emplace(i, plans[i]);
    std::size_t added = 0;
    std::vector<std::pair<Scheduler::JobId, std::size_t>> running;
    while (true) {
      if (added < plans.size() && random() % 4 == 0) {
        scheduler.Add(added, states.at(added));
        ++added;
      }
      while (const auto grant = scheduler.Next()) {
        ASSERT_TRUE(scheduler.used() <= slots || scheduler.used() == grant->unit.sessions.size());
        for (const std::size_t session : grant->unit.sessions) {
          running.emplace_back(grant->job, session);
        }
      }
      if (running.empty()) {
        if (added == plans.size()) break;
        continue;
      }
      const std::size_t at = random() % running.size();
      const auto [job, session] = running[at];
      running.erase(running.begin() + static_cast<std::ptrdiff_t>(at));
      states.at(job).Finish(session, true);
      scheduler.Release(1);
    }
    for (auto& [job, state] : states) EXPECT_TRUE(state.has_succeeded()) << "job " << job;
    EXPECT_EQ(scheduler.used(), 0U);
  }
}

}  // namespace
}  // namespace zerocloud::plan
