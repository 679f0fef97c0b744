#include "middleware/plan/scheduler.h"

namespace zerocloud::plan {

void Scheduler::Add(JobId job, PlanState& state) { turns_.emplace_back(job, &state); }

void Scheduler::Remove(JobId job) {
  turns_.remove_if([job](const auto& turn) { return turn.first == job; });
}

std::optional<Scheduler::Grant> Scheduler::Next() {
  for (auto turn = turns_.begin(); turn != turns_.end(); ++turn) {
    const std::optional<Unit> unit = turn->second->Next();
    if (!unit) continue;
    const std::size_t size = unit->sessions.size();
    if (used_ != 0 && used_ + size > slots_) return std::nullopt;
    turn->second->Start(*unit);
    used_ += size;
    const Grant grant{.job = turn->first, .unit = *unit};
    turns_.splice(turns_.end(), turns_, turn);
    return grant;
  }
  return std::nullopt;
}

}  // namespace zerocloud::plan
