// Scheduler: which job may start a unit now. Pure; the engine asks it whenever something changed.
//
// A machine has a number of slots, of which a running session holds one, and a number of files that
// may be open, of which it holds as many as FilesOf() says. Jobs take turns, unit by unit. A unit
// starts when it fits into what is free, or when nothing runs at all: so a gang
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

  Scheduler(std::size_t slots, std::size_t files) : slots_(slots), files_(files) {}

  // From now on. What runs goes on.
  void SetSlots(std::size_t slots) { slots_ = slots; }
  // `plan` and `state` outlive the job's stay.
  void Add(JobId job, const Plan& plan, PlanState& state);
  // Its running sessions keep their slots until released.
  void Remove(JobId job);

  struct Grant {
    JobId job = 0;
    Unit unit;
  };
  // Starts (in its PlanState) the next unit that may run and takes its slots, or nothing.
  std::optional<Grant> Next();
  // As a session ends.
  void Release(const Session& session) {
    --used_;
    used_files_ -= FilesOf(session);
  }
  // Files that stand behind the channels of a session, on both sides.
  [[nodiscard]] static std::size_t FilesOf(const Session& session);

  [[nodiscard]] std::size_t slots() const { return slots_; }
  [[nodiscard]] std::size_t used() const { return used_; }
  [[nodiscard]] std::size_t jobs() const { return turns_.size(); }

 private:
  struct Turn {
    JobId job = 0;
    const Plan* plan = nullptr;
    PlanState* state = nullptr;
  };

  std::size_t slots_;
  std::size_t files_;
  std::size_t used_ = 0;
  std::size_t used_files_ = 0;
  std::list<Turn> turns_;  // whose turn it is stands in front
};

}  // namespace zerocloud::plan
