// JobResult: how a job ended, session by session, and what it answers.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "channels/base/error.h"
#include "middleware/http/message.h"
#include "middleware/job/job_spec.h"
#include "sandbox/runtime/session.h"

namespace zerocloud::node {

// What all channels of a session moved. Connections between sessions are the network, all else is
// disk, as in ZeroCloud's accounting line.
struct SessionUsage {
  std::uint64_t disk_reads = 0, disk_read_bytes = 0, disk_writes = 0, disk_written_bytes = 0;
  std::uint64_t network_reads = 0, network_read_bytes = 0;
  std::uint64_t network_writes = 0, network_written_bytes = 0;
};

struct StoredObject {
  job::DeviceName device = job::DeviceName::kStdout;
  job::ObjectUrl object;
  std::uint64_t size = 0;
  std::string etag;  // MD5
};

enum class SessionEnd : std::uint8_t {
  kNotStarted,  // the job ended before
  kSucceeded,   // exited with code 0
  kFailed,      // made the job fail, or ended badly after that
  kStopped,     // killed because the job had failed or was cancelled
};
std::string_view ToString(SessionEnd end);  // "not_started", "succeeded", ...

struct SessionOutcome {
  std::string name;
  SessionEnd end = SessionEnd::kNotStarted;
  std::string status = "not started";  // "ok", or one phrase: "exit code 3", "signal 11 at ..."
  runtime::SessionReport report;       // without the channels: their sum is `usage`
  SessionUsage usage;
  std::string limit_hit;  // the name of a limit, or empty
  std::string stderr_tail;
  std::vector<StoredObject> stored;  // also when the job failed while others were being stored
  bool has_objects = false;          // it read stored objects
  bool is_mapped = false;            // it found an input in its memory
  bool is_local = false;             // it read stored objects, all of them from the stored files
  std::string why_not_local;         // why it did not, where that was a choice: a phrase about "it"
  std::string node;                  // on which it ran, if not on this machine
  std::vector<std::string> failed_nodes;  // "node: why", where it was tried before
  std::optional<std::size_t> company;     // those of the same number should run on one node
};

struct JobResult {
  std::optional<Error> error;                 // why the job failed
  std::optional<std::size_t> failed_session;  // which one made it fail
  std::vector<SessionOutcome> sessions;       // in plan order; empty if there never was a plan
  std::string content_type = "text/plain";    // of the body
  std::unique_ptr<http::BodySource> body;     // null when the job failed or answers nothing
  std::uint64_t body_size = 0;
  std::chrono::microseconds wall_time{0};
};

}  // namespace zerocloud::node
