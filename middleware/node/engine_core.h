// The engine's thread and all it owns. Private to this folder.
//
// One thread decides everything: it waits for sessions, deadlines, stderr and finished steps. What
// blocks runs as a step on the worker pool and comes back through Post().
#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <thread>
#include <unordered_map>
#include <utility>
#include <vector>

#include "channels/base/unique_fd.h"
#include "middleware/node/completion.h"
#include "middleware/node/engine.h"
#include "middleware/node/job_run.h"
#include "middleware/node/worker_pool.h"
#include "middleware/plan/scheduler.h"

struct epoll_event;

namespace zerocloud::node {

class Engine::Core : public std::enable_shared_from_this<Engine::Core> {
 public:
  using JobId = plan::Scheduler::JobId;

  Core(EngineConfig config, std::size_t files, store::ObjectStore& store, Runner& runner,
       Elsewhere* elsewhere, std::shared_ptr<Spool> spool, UniqueFd epoll, UniqueFd wakeup);
  Core(const Core&) = delete;
  Core& operator=(const Core&) = delete;
  ~Core() = default;
  // Cancels all jobs, and waits until their `done`s have returned. Afterwards only Cancel() and
  // Post() are called, by handles that are still there, and do nothing.
  void Close();

  // Takes a job in; the engine calls `done` through `completion`. Thread-safe.
  JobId Submit(JobRequest request, std::shared_ptr<Completion> completion);

  [[nodiscard]] EngineStats stats() const;
  void WaitUntilIdle();

  // Runs `task` on the engine's thread. Thread-safe.
  void Post(WorkerPool::Task task);
  void Cancel(JobId id);

 private:
  using Clock = std::chrono::steady_clock;

  // A session that is alive.
  struct Live {
    JobId job = 0;
    std::size_t session = 0;
    plan::Unit unit;  // in which it started
    std::unique_ptr<RunningSession> process;
    SessionFiles files;
    std::string stderr_tail;
  };

  // The read end of a stream whose reader has ended.
  struct DrainedStream {
    JobId job = 0;
    UniqueFd file;
  };

  enum class Watched : std::uint8_t { kWakeup, kProcess, kStderr, kDrain };

  struct JobEntry {
    std::shared_ptr<JobRun> run;
    std::shared_ptr<Completion> completion;
  };

  void Loop();
  void RunPosted();
  [[nodiscard]] int NextTimeout() const;
  void HandleEvent(const epoll_event& event);
  void StrikeDeadlines();
  // Now and then, while sessions run:
  void Patrol();
  // Each session may write what is left of the spool; together they may not. Fails the jobs whose
  // sessions do.
  void PatrolSpool();
  // Fails the jobs whose gangs have waited for their slots too long.
  void PatrolGangs(Clock::time_point now);
  // Starts what waits when other nodes have more slots than before.
  void NoticeSlots();

  // Fails for lack of memory, or of watches (fs.epoll.max_user_watches): what is not watched is not
  // heard of again.
  Result<void> Watch(int fd, Watched what, std::uint64_t id);
  void Forget(int fd);

  void Accept(JobId id, std::shared_ptr<JobRun> run, std::shared_ptr<Completion> completion);
  // Runs `step` on a worker and then `then` with its result on the engine's thread.
  template <typename Step, typename Then>
  void RunStep(const std::shared_ptr<JobRun>& run, Step step, Then then) {
    ++run->steps;
    // Whoever finishes the job must be the last to hold it, or its files would outlive the answer:
    // so each of these lets go of it before it hands on.
    workers_.Run([this, run = run, step = std::move(step), then = std::move(then)]() mutable {
      auto result = step(*run);
      Post([run = std::move(run), result = std::move(result), then = std::move(then)]() mutable {
        --run->steps;
        run.reset();
        then(std::move(result));
      });
    });
  }
  void Prepared(JobId id, Result<void> result);
  void Schedule();
  void OpenUnit(JobId id, const plan::Unit& unit, bool is_elsewhere);
  void Opened(JobId id, const plan::Unit& unit, Result<std::vector<OpenedSession>> result);
  Result<void> StartSession(JobId id, JobRun& run, const plan::Unit& unit, OpenedSession opened,
                            std::unique_ptr<RunningSession> of_gang);
  Result<std::vector<std::unique_ptr<RunningSession>>> StartGang(
      std::vector<OpenedSession>& opened);
  void Ended(std::uint64_t live_id);
  // What is to be told of a session that was elsewhere. False: it has not run there, and that is
  // dealt with.
  bool TakeElsewhere(Live& live, ElsewhereEnd& end);
  void Kept(JobId id, std::size_t session, Result<void> result);
  void Drain(JobId id, JobRun& run, std::vector<UniqueFd> streams);
  void Fail(JobId id, JobRun& run, Error error, std::optional<std::size_t> session);
  // Takes the job to its next stage if nothing of this one is under way.
  void Advance(JobId id);
  void Finish(JobId id);
  void Answer(std::shared_ptr<JobRun> run, std::shared_ptr<Completion> completion);

  const EngineConfig config_;
  store::ObjectStore& store_;
  Runner& runner_;
  Elsewhere* const elsewhere_;  // null: there are no other nodes
  std::shared_ptr<Spool> spool_;
  ImageCache images_;
  UniqueFd epoll_;
  UniqueFd wakeup_;

  // Any thread.
  std::atomic<JobId> last_id_ = 0;
  std::atomic<std::size_t> alive_ = 0;
  std::atomic<std::size_t> waiting_ = 0;
  std::mutex post_mutex_;
  std::vector<WorkerPool::Task> posted_;
  std::mutex idle_mutex_;
  std::condition_variable has_ended_;
  std::atomic<std::size_t> open_jobs_ = 0;  // lowered under idle_mutex_

  // The engine's thread.
  plan::Scheduler scheduler_;
  std::size_t elsewhere_slots_ = 0;  // as it last said
  std::map<JobId, JobEntry> jobs_;
  std::uint64_t last_watch_ = 0;
  std::unordered_map<std::uint64_t, Live> live_;
  std::unordered_map<std::uint64_t, DrainedStream> drains_;
  std::set<std::pair<Clock::time_point, std::uint64_t>> deadlines_;
  Clock::time_point next_patrol_;
  bool is_closing_ = false;

  WorkerPool workers_;  // ends before what its tasks use
  std::thread thread_;
};

}  // namespace zerocloud::node
