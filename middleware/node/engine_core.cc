#include "middleware/node/engine_core.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <climits>
#include <cstring>
#include <system_error>

#include "middleware/node/explain.h"
#include "middleware/node/stderr_tail.h"
#include "sandbox/runtime/wake_soon.h"

namespace zerocloud::node {
namespace {

using std::chrono::steady_clock;

// The stderr of sessions that succeeded is shown too, as long as it is not much.
constexpr std::size_t kKeptStderrBytes = std::size_t{1} << 20;

}  // namespace

Engine::Core::Core(EngineConfig config, std::size_t files, store::ObjectStore& store,
                   Runner& runner, Elsewhere* elsewhere, std::shared_ptr<Spool> spool,
                   UniqueFd epoll, UniqueFd wakeup)
    : config_(std::move(config)),
      store_(store),
      runner_(runner),
      elsewhere_(elsewhere),
      spool_(std::move(spool)),
      images_(runner, config_.programs),
      epoll_(std::move(epoll)),
      wakeup_(std::move(wakeup)),
      scheduler_(config_.slots, files),
      workers_(config_.workers) {
  if (!Watch(wakeup_.get(), Watched::kWakeup, 0)) {
    throw std::system_error(errno, std::generic_category(), "epoll");
  }
  thread_ = std::thread([this] { Loop(); });
}

void Engine::Core::Close() {
  Post([this] {
    is_closing_ = true;
    std::vector<JobId> ids;
    ids.reserve(jobs_.size());
    for (const auto& [id, job] : jobs_) ids.push_back(id);
    for (const JobId id : ids) Cancel(id);
  });
  thread_.join();
  WaitUntilIdle();
}

Engine::Core::JobId Engine::Core::Submit(JobRequest request,
                                         std::shared_ptr<Completion> completion) {
  const JobId id = ++last_id_;
  auto run = std::make_shared<JobRun>(std::move(request), config_, store_, images_, spool_,
                                      elsewhere_ != nullptr);
  ++open_jobs_;
  Post([this, id, run = std::move(run), completion = std::move(completion)]() mutable {
    Accept(id, std::move(run), std::move(completion));
  });
  return id;
}

EngineStats Engine::Core::stats() const {
  return {.jobs = open_jobs_,
          .sessions = alive_,
          .waiting_sessions = waiting_,
          .slots = config_.slots,
          .spool_bytes = spool_->used(),
          .spool_limit = spool_->limit()};
}

void Engine::Core::WaitUntilIdle() {
  std::unique_lock lock(idle_mutex_);
  has_ended_.wait(lock, [this] { return open_jobs_ == 0; });
}

void Engine::Core::Post(WorkerPool::Task task) {
  {
    const std::lock_guard lock(post_mutex_);
    posted_.push_back(std::move(task));
  }
  const std::uint64_t one = 1;
  // A full counter wakes the thread as well.
  [[maybe_unused]] const ssize_t ignored = ::write(wakeup_.get(), &one, sizeof one);
}

Result<void> Engine::Core::Watch(int fd, Watched what, std::uint64_t id) {
  epoll_event event{};
  event.events = EPOLLIN;
  event.data.u64 = id << 2 | static_cast<std::uint64_t>(what);
  if (::epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, fd, &event) == 0) return {};
  return FailErrno("the engine cannot wait for it (epoll)");
}

void Engine::Core::Forget(int fd) { ::epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, fd, nullptr); }

void Engine::Core::Loop() {
  runtime::WakeSoon();
  std::array<epoll_event, 64> events{};
  for (;;) {
    RunPosted();
    if (is_closing_ && jobs_.empty()) return;
    const int count = ::epoll_wait(epoll_.get(), events.data(), events.size(), NextTimeout());
    for (int i = 0; i < count; ++i) HandleEvent(events[static_cast<std::size_t>(i)]);
    StrikeDeadlines();
    Patrol();
    NoticeSlots();
  }
}

void Engine::Core::NoticeSlots() {
  // Nobody tells when a node comes back; while sessions run the thread wakes often enough.
  if (elsewhere_ != nullptr && elsewhere_->slots() != elsewhere_slots_) Schedule();
}

void Engine::Core::RunPosted() {
  std::vector<WorkerPool::Task> tasks;
  {
    const std::lock_guard lock(post_mutex_);
    tasks.swap(posted_);
  }
  for (WorkerPool::Task& task : tasks) {
    task();
    task = nullptr;  // with all it holds, before the next one
  }
}

int Engine::Core::NextTimeout() const {
  if (deadlines_.empty()) return -1;
  const auto left = std::chrono::ceil<std::chrono::milliseconds>(
      std::min(deadlines_.begin()->first, next_patrol_) - steady_clock::now());
  return static_cast<int>(std::clamp<std::int64_t>(left.count(), 0, INT_MAX));
}

void Engine::Core::StrikeDeadlines() {
  const steady_clock::time_point now = steady_clock::now();
  while (!deadlines_.empty() && deadlines_.begin()->first <= now) {
    const std::uint64_t id = deadlines_.begin()->second;
    deadlines_.erase(deadlines_.begin());
    live_.at(id).process->Kill(runtime::Cause::kTimedOut);
  }
}

void Engine::Core::HandleEvent(const epoll_event& event) {
  const std::uint64_t id = event.data.u64 >> 2;
  switch (static_cast<Watched>(event.data.u64 & 3)) {
    case Watched::kWakeup: {
      std::uint64_t count = 0;
      [[maybe_unused]] const ssize_t ignored = ::read(wakeup_.get(), &count, sizeof count);
      return;
    }
    case Watched::kProcess:
      if (live_.contains(id)) Ended(id);
      return;
    case Watched::kStderr: {
      const auto found = live_.find(id);
      if (found == live_.end()) return;
      Live& live = found->second;
      const bool is_open = ReadAvailable(live.files.stderr_pipe.get(), [&](std::string_view text) {
        KeepTail(live.stderr_tail, text, config_.limits.stderr_tail_bytes);
      });
      if (is_open) return;
      Forget(live.files.stderr_pipe.get());
      live.files.stderr_pipe.Reset();
      return;
    }
    case Watched::kDrain: {
      const auto found = drains_.find(id);
      if (found == drains_.end()) return;
      if (ReadAvailable(found->second.file.get(), [](std::string_view) {})) return;
      Forget(found->second.file.get());
      drains_.erase(found);
      return;
    }
  }
}

void Engine::Core::Accept(JobId id, std::shared_ptr<JobRun> run,
                          std::shared_ptr<Completion> completion) {
  if (is_closing_ || jobs_.size() >= config_.jobs) {
    run->error = Error{ErrorCode::kUnavailable,
                       is_closing_ ? "the server is stopping"
                                   : fmt::format("{} jobs are waiting or running already: the "
                                                 "limit jobs_at_once; try again later",
                                                 jobs_.size())};
    Answer(std::move(run), std::move(completion));
    return;
  }
  const JobEntry& entry =
      jobs_.emplace(id, JobEntry{std::move(run), std::move(completion)}).first->second;
  RunStep(
      entry.run, [](JobRun& job) { return job.Prepare(); },
      [this, id](Result<void> result) { Prepared(id, std::move(result)); });
}

void Engine::Core::Prepared(JobId id, Result<void> result) {
  JobRun& run = *jobs_.at(id).run;
  if (!result) {
    Fail(id, run, result.error(), std::nullopt);
  } else if (!run.error) {
    run.state = std::make_unique<plan::PlanState>(run.plan);
    run.outcomes.resize(run.plan.sessions.size());
    run.later.resize(run.plan.sessions.size());
    for (std::size_t i = 0; i < run.outcomes.size(); ++i) {
      run.outcomes[i].name = run.plan.sessions[i].name;
      run.outcomes[i].company = run.plan.sessions[i].company;
    }
    run.waiting = run.plan.sessions.size();
    waiting_ += run.waiting;
    scheduler_.Add(id, run.plan, *run.state);
  }
  Schedule();
  Advance(id);
}

void Engine::Core::Schedule() {
  if (elsewhere_ != nullptr) {
    elsewhere_slots_ = elsewhere_->slots();
    scheduler_.SetSlots(std::max<std::size_t>(elsewhere_slots_, 1));
  }
  while (const std::optional<plan::Scheduler::Grant> grant = scheduler_.Next()) {
    OpenUnit(grant->job, grant->unit, elsewhere_ != nullptr);
  }
}

void Engine::Core::OpenUnit(JobId id, const plan::Unit& unit, bool is_elsewhere) {
  RunStep(
      jobs_.at(id).run, [unit, is_elsewhere](JobRun& job) { return job.Open(unit, is_elsewhere); },
      [this, id, unit](Result<std::vector<OpenedSession>> result) {
        Opened(id, unit, std::move(result));
      });
}

void Engine::Core::Opened(JobId id, const plan::Unit& unit,
                          Result<std::vector<OpenedSession>> result) {
  JobRun& run = *jobs_.at(id).run;
  if (!result) {
    const bool is_alone = unit.sessions.size() == 1;
    Fail(id, run, result.error(), is_alone ? std::optional(unit.sessions.front()) : std::nullopt);
    result = std::vector<OpenedSession>();
  }
  std::vector<std::unique_ptr<RunningSession>> gang;
  if (!run.error && !result->empty() && result->front().elsewhere &&
      run.plan.components[unit.component].is_gang) {
    if (auto together = StartGang(*result)) {
      gang = std::move(*together);
    } else {
      Fail(id, run, together.error(), std::nullopt);
    }
  }
  std::size_t started = 0;
  for (OpenedSession& opened : *result) {
    if (run.error) break;
    const std::size_t session = opened.session;
    Result<void> start = StartSession(id, run, unit, std::move(opened),
                                      gang.empty() ? nullptr : std::move(gang[started]));
    if (start) {
      ++started;
      continue;
    }
    Fail(id, run,
         {start.error().code, fmt::format("session {} could not start: {}",
                                          run.outcomes[session].name, start.error().message)},
         session);
  }
  result->clear();  // what did not start is closed before the job can end
  for (const std::size_t session : unit.sessions.subspan(started)) {
    run.state->Finish(session, false);
    scheduler_.Release(run.plan.sessions[session]);
  }
  Schedule();
  Advance(id);
}

Result<std::vector<std::unique_ptr<RunningSession>>> Engine::Core::StartGang(
    std::vector<OpenedSession>& opened) {
  std::vector<ElsewhereSession> gang;
  gang.reserve(opened.size());
  for (OpenedSession& session : opened) {
    if (session.elsewhere) gang.push_back(std::move(*session.elsewhere));
  }
  return elsewhere_->StartGang(std::move(gang));
}

Result<void> Engine::Core::StartSession(JobId id, JobRun& run, const plan::Unit& unit,
                                        OpenedSession opened,
                                        std::unique_ptr<RunningSession> of_gang) {
  Result<std::unique_ptr<RunningSession>> process =
      of_gang != nullptr ? std::move(of_gang)
      : opened.elsewhere ? elsewhere_->Start(std::move(*opened.elsewhere))
                         : runner_.Start(std::move(opened.request));
  if (!process) return zerocloud::Fail(process);
  const std::uint64_t live_id = ++last_watch_;
  // Else nobody would hear of its end. It has hardly begun: it is killed with its object.
  Result<void> watched = Watch((*process)->pidfd(), Watched::kProcess, live_id);
  if (watched && opened.files.stderr_pipe.is_open()) {
    watched = Watch(opened.files.stderr_pipe.get(), Watched::kStderr, live_id);
    if (!watched) Forget((*process)->pidfd());
  }
  if (!watched) return zerocloud::Fail(watched);
  Live& live = live_[live_id];
  live.job = id;
  live.session = opened.session;
  live.process = std::move(*process);
  live.files = std::move(opened.files);
  live.unit = unit;
  deadlines_.emplace(live.process->deadline(), live_id);
  ++run.running;
  ++alive_;
  --run.waiting;
  --waiting_;
  return {};
}

void Engine::Core::Ended(std::uint64_t live_id) {
  Live live = std::move(live_.at(live_id));
  live_.erase(live_id);
  deadlines_.erase({live.process->deadline(), live_id});
  Forget(live.process->pidfd());
  runtime::SessionReport report = live.process->Collect();
  const std::unique_ptr<ElsewhereEnd> away = live.process->TakeElsewhere();
  live.process.reset();
  live.files.fetched.clear();  // gone with the process; what it wrote may take their room
  const JobId id = live.job;
  JobRun& run = *jobs_.at(id).run;
  --run.running;
  --alive_;
  if (away != nullptr && !TakeElsewhere(live, *away)) return;
  scheduler_.Release(run.plan.sessions[live.session]);
  Drain(id, run, std::move(live.files.drains));

  const std::uint64_t tail_limit = config_.limits.stderr_tail_bytes;
  SessionOutcome& outcome = run.outcomes[live.session];
  outcome.has_objects = live.files.has_objects;
  outcome.is_mapped = live.files.has_mapped;
  outcome.is_local = live.files.has_objects && live.files.is_local;
  outcome.why_not_local = std::move(live.files.why_not_local);
  if (live.files.stderr_pipe.is_open()) {
    Forget(live.files.stderr_pipe.get());
    ReadAvailable(live.files.stderr_pipe.get(),
                  [&](std::string_view text) { KeepTail(live.stderr_tail, text, tail_limit); });
    live.files.stderr_pipe.Reset();
  }
  for (const OutputFile& output : live.files.outputs) {
    if (output.alias != "/dev/stderr" || !output.file.is_open()) continue;
    for (const runtime::ChannelUsage& usage : report.channels) {
      if (usage.alias != output.alias) continue;
      live.stderr_tail = ReadTail(output.file.get(), usage.size, tail_limit);
    }
  }
  if (live.stderr_tail.size() > tail_limit) {
    live.stderr_tail.erase(0, live.stderr_tail.size() - tail_limit);
  }

  const bool has_succeeded = report.cause == runtime::Cause::kExited && report.exit_code == 0;
  const std::chrono::milliseconds timeout =
      run.plan.spec.groups[run.plan.sessions[live.session].group].timeout;
  outcome.status = DescribeEnd(report, timeout);
  outcome.usage = SumUsage(report);
  outcome.limit_hit = LimitHit(report, live.files.bounds);
  if (!has_succeeded || run.kept_stderr + live.stderr_tail.size() <= kKeptStderrBytes) {
    run.kept_stderr += live.stderr_tail.size();
    outcome.stderr_tail = std::move(live.stderr_tail);
  }
  if (!has_succeeded) {
    const bool is_ours = run.error && report.cause == runtime::Cause::kKilled;
    outcome.end = is_ours ? SessionEnd::kStopped : SessionEnd::kFailed;
    Error why = ExplainFailure(outcome.name, report, timeout, live.files.bounds);
    if (report.cause == runtime::Cause::kChannelIo) {
      for (const auto& failure : live.files.late_failures) {
        const std::optional<Error> late = failure->Get();
        if (late) why = {late->code, fmt::format("session {}: {}", outcome.name, late->message)};
      }
    }
    Fail(id, run, std::move(why), live.session);
    report.channels.clear();
    outcome.report = std::move(report);
    live.files = {};  // closed before the job can end
    run.state->Finish(live.session, false);
    Schedule();
    Advance(id);
    return;
  }
  outcome.end = SessionEnd::kSucceeded;
  outcome.report = report;
  outcome.report.channels.clear();
  RunStep(
      jobs_.at(id).run,
      [session = live.session, files = std::move(live.files), report = std::move(report)](
          JobRun& job) mutable { return job.Keep(session, std::move(files), report); },
      [this, id, session = live.session](Result<void> result) {
        Kept(id, session, std::move(result));
      });
  Schedule();
}

bool Engine::Core::TakeElsewhere(Live& live, ElsewhereEnd& end) {
  JobRun& run = *jobs_.at(live.job).run;
  const plan::Session& session = run.plan.sessions[live.session];
  SessionOutcome& outcome = run.outcomes[live.session];
  outcome.failed_nodes = end.failed;
  if (!end.error) {
    outcome.node = end.node;
    live.files.has_objects = end.has_objects;
    live.files.is_local = end.is_local;
    live.files.why_not_local = end.why_not_local;
    live.stderr_tail = end.stderr_tail;
    live.files.held = std::move(end.held);
    run.later[live.session] = std::move(end.later);
    return true;
  }
  live.files = {};
  const bool is_nodes_fault = end.failed_alias.empty();
  const bool is_beside = run.beside.contains(live.unit.component);
  if (is_nodes_fault && (is_beside || (config_.is_fallback && !run.error))) {
    ++run.waiting;  // it keeps its slot
    ++waiting_;
    // The others of a gang follow: their ends come now.
    if (run.plan.components[live.unit.component].is_gang) run.beside.insert(live.unit.component);
    if (!is_beside) OpenUnit(live.job, live.unit, false);
    return false;
  }
  Error why{end.error->code, fmt::format("session {} could not run on any node: {}", session.name,
                                         end.error->message)};
  for (const plan::Binding& binding : session.bindings) {
    if (is_nodes_fault || binding.declared == nullptr) continue;
    if (fmt::format("/dev/{}", job::ToString(binding.device)) != end.failed_alias) continue;
    why.message = fmt::format("{}: {}", binding.declared->pointer, end.error->message);
  }
  Fail(live.job, run, std::move(why), live.session);
  run.state->Finish(live.session, false);
  scheduler_.Release(session);
  Schedule();
  Advance(live.job);
  return false;
}

void Engine::Core::Kept(JobId id, std::size_t session, Result<void> result) {
  JobRun& run = *jobs_.at(id).run;
  if (!result) {
    Fail(id, run,
         {result.error().code,
          fmt::format("session {}: {}", run.outcomes[session].name, result.error().message)},
         session);
  }
  run.state->Finish(session, result.has_value());
  Schedule();
  Advance(id);
}

// A writer must not die or wait because its reader has ended first: what it still writes is read
// and forgotten.
void Engine::Core::Drain(JobId id, JobRun& run, std::vector<UniqueFd> streams) {
  for (UniqueFd& stream : streams) {
    const int flags = ::fcntl(stream.get(), F_GETFL);
    if (flags < 0 || ::fcntl(stream.get(), F_SETFL, flags | O_NONBLOCK) != 0) continue;
    const std::uint64_t drain_id = ++last_watch_;
    if (Result<void> watched = Watch(stream.get(), Watched::kDrain, drain_id); !watched) {
      Fail(id, run,
           {watched.error().code,
            "a connection whose reader has ended cannot be emptied: " + watched.error().message},
           std::nullopt);
      continue;
    }
    drains_.emplace(drain_id, DrainedStream{id, std::move(stream)});
  }
}

void Engine::Core::Fail(JobId id, JobRun& run, Error error, std::optional<std::size_t> session) {
  if (run.error) return;  // the first cause wins
  run.error = std::move(error);
  run.failed_session = session;
  run.is_stopping = true;
  run.stop.request_stop();
  if (run.state) run.state->Cancel();
  for (auto& [live_id, live] : live_) {
    if (live.job == id) live.process->Kill(runtime::Cause::kKilled);
  }
}

void Engine::Core::Cancel(JobId id) {
  const auto found = jobs_.find(id);
  if (found == jobs_.end()) return;
  JobRun& run = *found->second.run;
  // Objects that are being stored are stored whole: it takes no longer than undoing it. Nothing is
  // run again for that.
  if (run.is_storing) {
    run.stop.request_stop();
  } else {
    Fail(id, run, {ErrorCode::kCancelled, "the job was cancelled"}, std::nullopt);
  }
  Advance(id);
}

void Engine::Core::Advance(JobId id) {
  const auto found = jobs_.find(id);
  if (found == jobs_.end()) return;
  const std::shared_ptr<JobRun>& run = found->second.run;
  if (run->steps > 0 || run->running > 0) return;
  if (run->is_storing || !run->state) {
    Finish(id);
    return;
  }
  if (!run->state->is_done()) return;
  scheduler_.Remove(id);
  if (run->error) {
    Finish(id);
    return;
  }
  run->is_storing = true;
  for (std::size_t i = 0; i < std::min(config_.workers, run->plan.sessions.size()); ++i) {
    RunStep(
        run, [](JobRun& job) { return job.StoreOutputs(); },
        [this, id](Result<void> result) {
          if (!result) Fail(id, *jobs_.at(id).run, result.error(), std::nullopt);
          Advance(id);
        });
  }
}

void Engine::Core::Finish(JobId id) {
  JobEntry entry = std::move(jobs_.at(id));
  jobs_.erase(id);
  waiting_ -= entry.run->waiting;
  // Its writers have ended: nothing is left to read.
  std::erase_if(drains_, [id](const auto& drain) { return drain.second.job == id; });
  Answer(std::move(entry.run), std::move(entry.completion));
}

void Engine::Core::Answer(std::shared_ptr<JobRun> run, std::shared_ptr<Completion> completion) {
  workers_.Run([this, run = std::move(run), completion = std::move(completion)]() mutable {
    JobResult result;
    run->TellOfLaterRuns();
    result.error = std::move(run->error);
    result.failed_session = run->failed_session;
    result.sessions = std::move(run->outcomes);
    if (!result.error) run->TakeResponse(result);
    result.wall_time =
        std::chrono::duration_cast<std::chrono::microseconds>(steady_clock::now() - run->started);
    run.reset();
    completion->Call(std::move(result));
    completion.reset();
    const std::lock_guard lock(idle_mutex_);
    --open_jobs_;
    has_ended_.notify_all();
  });
}

}  // namespace zerocloud::node
