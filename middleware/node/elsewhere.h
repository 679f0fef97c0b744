// Elsewhere: other machines that run sessions for this engine. The engine still plans, decides and
// keeps what sessions write; where and how a session runs is not its matter.
//
// A session for elsewhere is described by values and by files of this machine's spool: what it
// reads from there is sent along, what it writes arrives there before the session counts as ended,
// or is held where it was written (held_bytes.h). So until then nothing of it has happened, and it
// may be tried on one node after the other.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "channels/base/unique_fd.h"
#include "middleware/node/held_bytes.h"
#include "middleware/node/runner.h"
#include "middleware/store/object_store.h"

namespace zerocloud::node {

// A program as it was stored, for whoever does not have it yet.
struct ProgramFile {
  UniqueFd file;
  std::uint64_t size = 0;
  std::string sha256;  // hexadecimal
};

// A stored object that a session reads, to be opened where the session runs.
struct ElsewhereInput {
  store::ObjectPath path;
  std::optional<store::ListedObject> listed;  // what a listing that the caller got said of it
  bool is_random = false;
  bool is_local_object = false;  // the one that /dev/nvram tells of
};

// Sessions that try to run in one place share one of these. What it says is the Elsewhere's alone,
// under its own lock.
struct Company {
  std::optional<std::size_t> place;  // where the first of them is
};

// One end of a connection between two sessions of a gang.
struct GangStream {
  std::size_t number = 0;  // the same at both ends, and of no other in the gang
  std::size_t peer = 0;    // the session at the other end, by its place in the gang
};

struct ElsewhereSession {
  std::string name;
  store::Caller caller;
  std::shared_ptr<const ProgramFile> program;
  // As for a session here, but for `image`. A channel's file is one of the spool that is read or
  // written; not open: one of the next four, /dev/null, or a stderr whose end is reported.
  runtime::SessionRequest request;
  std::map<std::string, ElsewhereInput> inputs;  // by alias
  // What other sessions wrote elsewhere, by alias; the channel has its size.
  std::map<std::string, std::shared_ptr<HeldBytes>> held_inputs;
  // Aliases of channels whose bytes are to stay where they are written. Then no other channel but
  // /dev/nvram reads from the spool, so that the session can run again from this description.
  std::set<std::string> held_outputs;
  std::map<std::string, GangStream> streams;  // by alias; of a gang only
  std::string stderr_alias;                   // of that stderr, or empty
  std::uint64_t stderr_tail_bytes = 0;
  std::uint64_t nvram_bytes = 0;  // the limit; lines about the input come to nvram there
  std::optional<store::ObjectPath> attached;  // the object near which it should run
  std::shared_ptr<Company> company;           // null: it has none
};

// What is known of a session that ran elsewhere besides its report.
struct ElsewhereEnd {
  // It ran nowhere, or not to its end, and nothing of it has happened. Then there is no report.
  std::optional<Error> error;
  std::string failed_alias;         // the input whose fault that was, or empty
  std::string node;                 // where it ran
  std::vector<std::string> failed;  // "node: why", of nodes where it was tried before
  bool has_objects = false;         // it read stored objects, and then:
  bool is_local = true;             // all of them from the stored files
  std::string why_not_local;
  std::string stderr_tail;
  // After exit code 0: of each of the held_outputs.
  std::map<std::string, std::shared_ptr<HeldBytes>> held;
  std::shared_ptr<const LaterRuns> later;  // if there are any
};

class Elsewhere {
 public:
  virtual ~Elsewhere() = default;
  // Sessions that may run there at once. May change. Called by the engine's thread.
  [[nodiscard]] virtual std::size_t slots() const = 0;
  // Does not block; called by the engine's thread. What cannot be done shows at the end.
  virtual Result<std::unique_ptr<RunningSession>> Start(ElsewhereSession session) = 0;
  // The same for sessions that need each other alive: all of them run, or none. They end together.
  virtual Result<std::vector<std::unique_ptr<RunningSession>>> StartGang(
      std::vector<ElsewhereSession> gang) = 0;
};

}  // namespace zerocloud::node
