// Engine: runs jobs on this machine, or has other machines run their sessions (elsewhere.h). One
// thread of its own starts sessions, watches their processes, their deadlines and their stderr; a
// few worker threads make the calls that block.
//
// Promises: a job's stored outputs appear only when every session has exited with code 0, each
// whole or not at all. A job that ends, whatever the reason, leaves no process, descriptor or file.
// The number of sessions alive, of descriptors and of spooled bytes is bounded.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "channels/base/result.h"
#include "middleware/job/job_spec.h"
#include "middleware/node/elsewhere.h"
#include "middleware/node/job_result.h"
#include "middleware/node/runner.h"
#include "middleware/plan/plan.h"
#include "middleware/store/object_store.h"

namespace zerocloud::node {

struct EngineConfig {
  // Sessions alive at once, but for a gang that runs alone. With other nodes theirs count instead.
  std::size_t slots = 4;
  // What no other node takes runs on this machine.
  bool is_fallback = false;
  std::size_t workers = 4;  // threads for calls that block
  std::size_t jobs = 1000;  // accepted and not yet answered; more are kUnavailable
  // How long a gang waits for its slots, from when nothing else keeps it from starting; then its
  // job is kUnavailable.
  std::chrono::milliseconds gang_wait{600'000};
  std::size_t programs = 64;  // verified programs kept
  std::string spool_directory = "/var/tmp";
  std::uint64_t spool_bytes = 64ULL * 1024 * 1024 * 1024;  // of all jobs
  // As in runtime::SessionRequest, of each session.
  bool wants_own_namespaces = false;
  std::string control_groups;
  job::JobLimits limits;
};

struct JobRequest {
  job::JobSpec spec;
  plan::Origin origin;
  store::Caller caller;
};

struct EngineStats {
  std::size_t jobs = 0;              // accepted and not yet answered
  std::size_t sessions = 0;          // alive
  std::size_t waiting_sessions = 0;  // of jobs that have a plan, not started yet
  std::size_t slots = 0;
  std::uint64_t spool_bytes = 0;
  std::uint64_t spool_limit = 0;
};

// A submitted job. Destroying it kills the job's sessions, if it has not ended, and waits for a
// `done` that is running on another thread; afterwards `done` is not called.
class JobHandle {
 public:
  virtual ~JobHandle() = default;
};

class Engine {
 public:
  // Raises the process's limit of open files as far as it may. What is given outlives the engine.
  // With `elsewhere`, sessions run there.
  static Result<std::unique_ptr<Engine>> Start(EngineConfig config, store::ObjectStore& store,
                                               Runner& runner, Elsewhere* elsewhere = nullptr);
  Engine(const Engine&) = delete;
  Engine& operator=(const Engine&) = delete;
  // Cancels all jobs and waits until their `done`s have returned. Handles may live on.
  ~Engine();

  // `done` is called once on a worker thread, unless the handle is destroyed before. Thread-safe.
  std::unique_ptr<JobHandle> Submit(JobRequest request, std::function<void(JobResult)> done);

  [[nodiscard]] EngineStats stats() const;
  // Waits until no job is left and all `done`s have returned.
  void WaitUntilIdle();

  class Core;

 private:
  explicit Engine(std::shared_ptr<Core> core);
  std::shared_ptr<Core> core_;  // shared with handles, which may outlive the engine
};

}  // namespace zerocloud::node
