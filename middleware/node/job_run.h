// JobRun: one job under way, and the steps of it that block. Private to this folder.
//
// The engine's thread owns a JobRun. A step runs on a worker thread while the engine leaves alone
// what the step works on; it hands its outcome back by value. Steps of one job may run at once, for
// different sessions.
#pragma once

#include <atomic>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <span>
#include <stop_token>
#include <string>
#include <string_view>
#include <vector>

#include "middleware/node/elsewhere.h"
#include "middleware/node/engine.h"
#include "middleware/node/image_cache.h"
#include "middleware/node/job_result.h"
#include "middleware/node/spool.h"
#include "middleware/plan/plan_state.h"

namespace zerocloud::node {

// A file that a session writes and the engine takes when it has ended.
struct OutputFile {
  std::string alias;
  UniqueFd file;                           // not open: it is held elsewhere
  std::optional<std::size_t> edge;         // a spooled connection, else:
  const plan::Binding* binding = nullptr;  // a stored or pathless output
};

// What bounds the writing to a channel, for the message when it is used up.
struct ChannelBound {
  std::string alias;
  channels::ChannelLimits limits;
  std::string_view name;  // of the limit behind put_size
};

// The engine's side of a session's files.
struct SessionFiles {
  std::vector<OutputFile> outputs;
  std::vector<ChannelBound> bounds;
  bool has_mapped = false;    // it finds an input in its memory
  bool has_objects = false;   // it reads stored objects, and then:
  bool is_local = true;       // all of them from the stored files
  std::string why_not_local;  // the first that was not, where that was a choice
  std::vector<std::shared_ptr<store::LateFailure>> late_failures;  // of inputs fetched when read
  std::vector<std::unique_ptr<FetchedBytes>> fetched;              // of inputs, until it has ended
  UniqueFd stderr_pipe;          // read end, non-blocking; not open if stderr is an output
  std::vector<UniqueFd> drains;  // read ends of its incoming streams
  std::map<std::string, std::shared_ptr<HeldBytes>> held;  // of outputs without a file, by alias
};

// Bytes of disk that the outputs take by now.
std::uint64_t BytesOnDisk(const SessionFiles& files);

struct OpenedSession {
  std::size_t session = 0;
  runtime::SessionRequest request;
  SessionFiles files;
  std::optional<ElsewhereSession> elsewhere;  // set: it runs elsewhere, and has the request
};

// A pathless or stored output that was kept.
struct KeptOutput {
  const plan::Binding* binding = nullptr;
  Piece piece;
};

class JobRun {
 public:
  JobRun(JobRequest asked, const EngineConfig& engine_config, store::ObjectStore& object_store,
         ImageCache& image_cache, std::shared_ptr<Spool> machine_spool, bool may_run_elsewhere)
      : request(std::move(asked)),
        config(engine_config),
        store(object_store),
        images(image_cache),
        keeps_program_files(may_run_elsewhere),
        spool(std::make_shared<JobSpool>(std::move(machine_spool), config.limits.job_spool_bytes)) {
  }

  // Steps, on worker threads.
  Result<void> Prepare();  // plan, rights, programs
  // Inputs and spool files; elsewhere only the latter.
  Result<std::vector<OpenedSession>> Open(const plan::Unit& unit, bool is_elsewhere);
  Result<void> Keep(std::size_t session, SessionFiles files, const runtime::SessionReport& report);
  Result<void> StoreOutputs();  // several of these may share the work
  // Whether a step is to go on: kCancelled once the job has failed, or nobody waits for it any
  // more. Steps ask before each call that blocks.
  [[nodiscard]] Result<void> CheckWanted() const;
  // The caller, asking for that session.
  [[nodiscard]] store::Caller CallerOf(std::string_view session) const;
  // Adds to the outcomes what became of sessions after their end.
  void TellOfLaterRuns();
  // Takes the body: all kept pathless outputs in plan order.
  void TakeResponse(JobResult& result);

  // Of StoreOutputs(): stores one piece, wherever it lies.
  Result<store::ObjectInfo> StorePiece(const store::Caller& caller, const store::NewObject& object,
                                       const Piece& piece);

  const JobRequest request;
  const EngineConfig& config;
  store::ObjectStore& store;
  ImageCache& images;
  const bool keeps_program_files;
  const std::shared_ptr<JobSpool> spool;  // shared with the response's body
  const std::chrono::steady_clock::time_point started = std::chrono::steady_clock::now();

  // Made by Prepare(), fixed afterwards.
  plan::Plan plan;
  std::vector<std::shared_ptr<const loader::Image>> programs;     // of each group
  std::vector<std::shared_ptr<const ProgramFile>> program_files;  // the same, if they are kept
  std::map<store::ObjectPath, store::ListedObject> listed;        // inputs that wildcards found
  std::vector<std::shared_ptr<Company>> companies;                // of plan::Session::company
  std::vector<Piece> edges;                   // spooled, each written by one session, read by one
  std::vector<std::vector<KeptOutput>> kept;  // of each session
  std::atomic<std::uint64_t> response_bytes = 0;
  std::atomic<std::size_t> next_to_store = 0;  // session
  std::atomic<bool> is_stopping = false;       // failed or cancelled: steps give up early
  std::stop_source stop;  // the same, or nobody waits any more: nothing is to run again

  // The engine's.
  std::unique_ptr<plan::PlanState> state;  // from when it may run
  std::vector<SessionOutcome> outcomes;
  std::vector<std::shared_ptr<const LaterRuns>> later;  // of each session, or null
  std::optional<Error> error;
  std::optional<std::size_t> failed_session;
  std::size_t steps = 0;    // steps under way
  std::size_t running = 0;  // sessions alive
  std::size_t waiting = 0;  // sessions that have not started
  std::optional<std::chrono::steady_clock::time_point> gang_waits;  // since then, for its slots
  bool is_storing = false;
  std::set<std::size_t> beside;  // gangs that no node could run, by component
  std::size_t kept_stderr = 0;
};

}  // namespace zerocloud::node
