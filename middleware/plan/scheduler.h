// Scheduler: which job may start a unit now. Pure; the engine asks it whenever something changed.
//
// A machine has a number of slots; a running session holds one. Jobs take turns, unit by unit. A
// unit starts when its sessions fit into the free slots, or when nothing runs at all: so a gang
// larger than the slots still starts whole, alone. When the job whose turn it is has a unit that
// does not fit, nobody else starts either until it does: a large gang is never overtaken for ever.
// No order of jobs deadlocks, because a running session never waits for one that has not started:
// sessions connected in a cycle start together, and every other reader starts after its writer has
// ended.
#pragma once

#include <cstddef>
#include <cstdint>
#include <list>
#include <optional>
#include <utility>

#include "middleware/plan/plan_state.h"

namespace zerocloud::plan {

class Scheduler {
 public:
  using JobId = std::uint64_t;

  explicit Scheduler(std::size_t slots) : slots_(slots) {}

  // `state` outlives the job's stay.
  void Add(JobId job, PlanState& state);
  // Its running sessions keep their slots until released.
  void Remove(JobId job);

  struct Grant {
    JobId job = 0;
    Unit unit;
  };
  // Starts (in its PlanState) the next unit that may run and takes its slots, or nothing.
  std::optional<Grant> Next();
  // As sessions end.
  void Release(std::size_t sessions) { used_ -= sessions; }

  [[nodiscard]] std::size_t used() const { return used_; }
  [[nodiscard]] std::size_t jobs() const { return turns_.size(); }

 private:
  std::size_t slots_;
  std::size_t used_ = 0;
  std::list<std::pair<JobId, PlanState*>> turns_;  // whose turn it is stands in front
};

}  // namespace zerocloud::plan
