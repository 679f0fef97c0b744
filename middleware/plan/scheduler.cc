#include "middleware/plan/scheduler.h"

namespace zerocloud::plan {

void Scheduler::Add(JobId job, const Plan& plan, PlanState& state) {
  turns_.push_back({.job = job, .plan = &plan, .state = &state});
}

void Scheduler::Remove(JobId job) {
  turns_.remove_if([job](const Turn& turn) { return turn.job == job; });
}

std::size_t Scheduler::FilesOf(const Session& session) {
  // Each channel has one, those whose end the engine keeps have two; the program's arguments and
  // the process itself have one each.
  return 2 * (session.bindings.size() + session.in.size() + session.out.size()) + 2;
}

std::optional<Scheduler::Grant> Scheduler::Next() {
  for (auto turn = turns_.begin(); turn != turns_.end(); ++turn) {
    const std::optional<Unit> unit = turn->state->Next();
    if (!unit) continue;
    std::size_t files = 0;
    for (const std::size_t session : unit->sessions)
      files += FilesOf(turn->plan->sessions[session]);
    const bool fits = used_ + unit->sessions.size() <= slots_ && used_files_ + files <= files_;
    if (used_ != 0 && !fits) return std::nullopt;
    turn->state->Start(*unit);
    used_ += unit->sessions.size();
    used_files_ += files;
    const Grant grant{.job = turn->job, .unit = *unit};
    turns_.splice(turns_.end(), turns_, turn);
    return grant;
  }
  return std::nullopt;
}

}  // namespace zerocloud::plan
