// What the engine looks at from time to time: disks that fill up, and gangs that wait.
#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <optional>
#include <utility>
#include <vector>

#include "middleware/node/engine_core.h"

namespace zerocloud::node {
namespace {

using std::chrono::steady_clock;

// How often the files of sessions that run are looked at. What they may take beyond the spool's
// bounds is what a disk takes in that time.
constexpr std::chrono::milliseconds kPatrolInterval{50};

}  // namespace

void Engine::Core::Patrol() {
  const steady_clock::time_point now = steady_clock::now();
  if (live_.empty() || now < next_patrol_) return;
  next_patrol_ = now + kPatrolInterval;
  PatrolSpool();
  // A gang waits only while sessions run, so it is not forgotten when none does.
  PatrolGangs(now);
}

void Engine::Core::PatrolGangs(Clock::time_point now) {
  std::vector<std::pair<JobId, plan::Unit>> overdue;
  for (const auto& [id, job] : jobs_) {
    JobRun& run = *job.run;
    const std::optional<plan::Unit> next =
        run.state && !run.error ? run.state->Next() : std::nullopt;
    if (!next || !run.plan.components[next->component].is_gang) {
      run.gang_waits.reset();
    } else if (!run.gang_waits) {
      run.gang_waits = now;
    } else if (now - *run.gang_waits > config_.gang_wait) {
      overdue.emplace_back(id, *next);
    }
  }
  for (const auto& [id, gang] : overdue) {
    JobRun& run = *jobs_.at(id).run;
    Fail(id, run,
         {ErrorCode::kUnavailable,
          fmt::format(
              "a gang of {} sessions, {} among them, has waited {} ms for as many free slots; "
              "{} of {} are taken: the limit gang_wait_seconds; try again later",
              gang.sessions.size(), run.plan.sessions[gang.sessions.front()].name,
              config_.gang_wait.count(), scheduler_.used(), scheduler_.slots())},
         std::nullopt);
    Advance(id);
  }
  if (!overdue.empty()) Schedule();  // what stood behind it
}

void Engine::Core::PatrolSpool() {
  std::map<JobId, std::uint64_t> written;
  std::uint64_t all = spool_->used();
  for (const auto& [live_id, live] : live_) {
    const std::uint64_t bytes = BytesOnDisk(live.files);
    written[live.job] += bytes;
    all += bytes;
  }
  for (const auto& [id, bytes] : written) {
    JobRun& run = *jobs_.at(id).run;
    const std::uint64_t taken = run.spool->used() + bytes;
    if (taken > run.spool->limit()) Fail(id, run, run.spool->OverLimit(taken), std::nullopt);
  }
  if (all <= spool_->limit()) return;
  const auto most =
      std::ranges::max_element(written, {}, [](const auto& job) { return job.second; });
  Fail(most->first, *jobs_.at(most->first).run, spool_->Full(), std::nullopt);
}

}  // namespace zerocloud::node
