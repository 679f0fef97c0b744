#include "middleware/plan/scheduler.h"

#include <gtest/gtest.h>

#include <map>

#include "middleware/plan/random_plan.h"

namespace zerocloud::plan {
namespace {

constexpr std::size_t kManyFiles = 1000;

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
  Scheduler scheduler(2, kManyFiles);
  scheduler.Add(1, plan, state);
  EXPECT_TRUE(scheduler.Next().has_value());
  EXPECT_TRUE(scheduler.Next().has_value());
  EXPECT_FALSE(scheduler.Next().has_value());
  scheduler.Release(plan.sessions[0]);
  EXPECT_TRUE(scheduler.Next().has_value());
  EXPECT_FALSE(scheduler.Next().has_value());
}

TEST(Scheduler, JobsTakeTurns) {
  const Plan plan = Sessions(3, false);
  PlanState one(plan);
  PlanState two(plan);
  Scheduler scheduler(4, kManyFiles);
  scheduler.Add(1, plan, one);
  scheduler.Add(2, plan, two);
  std::vector<Scheduler::JobId> order;
  while (const auto grant = scheduler.Next()) order.push_back(grant->job);
  EXPECT_EQ(order, (std::vector<Scheduler::JobId>{1, 2, 1, 2}));
}

TEST(Scheduler, AGangLargerThanTheSlotsRunsAlone) {
  const Plan small = Sessions(4, false);
  const Plan large = Sessions(5, true);
  PlanState one(small);
  PlanState gang(large);
  Scheduler scheduler(2, kManyFiles);
  scheduler.Add(1, small, one);
  scheduler.Add(2, large, gang);
  EXPECT_EQ(scheduler.Next().value_or(Scheduler::Grant{}).job, 1U);
  EXPECT_FALSE(scheduler.Next().has_value()) << "the gang's turn: nobody overtakes it";
  scheduler.Release(small.sessions[0]);
  const Scheduler::Grant grant = scheduler.Next().value_or(Scheduler::Grant{});
  EXPECT_EQ(grant.job, 2U);
  EXPECT_EQ(grant.unit.sessions.size(), 5U);
  EXPECT_FALSE(scheduler.Next().has_value());
  for (const Session& session : large.sessions) scheduler.Release(session);
  EXPECT_EQ(scheduler.Next().value_or(Scheduler::Grant{}).job, 1U);
}

TEST(Scheduler, OpenFilesBoundWhatIsAlive) {
  const Plan plan = Sessions(3, false);
  PlanState state(plan);
  Scheduler scheduler(4, 2 * Scheduler::FilesOf(plan.sessions[0]));
  scheduler.Add(1, plan, state);
  EXPECT_TRUE(scheduler.Next().has_value());
  EXPECT_TRUE(scheduler.Next().has_value());
  EXPECT_FALSE(scheduler.Next().has_value());
  scheduler.Release(plan.sessions[0]);
  EXPECT_TRUE(scheduler.Next().has_value());
}

TEST(Scheduler, ASessionOfMoreFilesThanAllRunsAlone) {
  const Plan plan = Sessions(2, false);
  PlanState state(plan);
  Scheduler scheduler(4, 1);
  scheduler.Add(1, plan, state);
  EXPECT_TRUE(scheduler.Next().has_value());
  EXPECT_FALSE(scheduler.Next().has_value());
}

TEST(Scheduler, RemovedJobsStartNothing) {
  const Plan plan = Sessions(3, false);
  PlanState state(plan);
  Scheduler scheduler(4, kManyFiles);
  scheduler.Add(1, plan, state);
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
    Scheduler scheduler(slots, kManyFiles);
    std::vector<Plan> plans(1 + random() % 5);
    for (Plan& plan : plans) plan = RandomPlan(random);
    std::map<Scheduler::JobId, PlanState> states;
    for (std::size_t i = 0; i < plans.size(); ++i) states.try_emplace(i, plans[i]);
    std::size_t added = 0;
    std::vector<std::pair<Scheduler::JobId, std::size_t>> running;
    while (true) {
      if (added < plans.size() && random() % 4 == 0) {
        scheduler.Add(added, plans[added], states.at(added));
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
      scheduler.Release(plans[job].sessions[session]);
    }
    for (auto& [job, state] : states) EXPECT_TRUE(state.has_succeeded()) << "job " << job;
    EXPECT_EQ(scheduler.used(), 0U);
  }
}

}  // namespace
}  // namespace zerocloud::plan
