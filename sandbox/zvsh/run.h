// What the `zvsh` program does: a guest run like a command. docs/zvsh.md describes it.
#pragma once

#include <string>
#include <vector>

#include "channels/base/result.h"
#include "sandbox/zvsh/config.h"

namespace zerocloud::zvsh {

struct RunOptions {
  std::vector<ImageOption> images;
  std::string save_directory;            // empty: a temporary one
  std::string command;                   // a file, or a name in an image
  std::vector<std::string> arguments;    // with their '@'
  bool has_debug_log = false;            // ./zvsh.log gets what the guest's library tells
  bool has_trace = false;                // ./zvsh.trace.log gets zerovm's
  bool wants_host_code = false;          // exit with zerovm's code
  int verbosity = -1;                    // of the debug log
  bool waits_for_debugger = false;       // print the gdb command and wait
  bool runs_debugger = false;            // run gdb, stop in main
  std::vector<std::string> gdb_options;  // for it
};

// `words` are the command and its arguments, or "gdb [options] --args COMMAND ARGUMENTS..."; fills
// those fields.
Result<void> SetCommand(RunOptions& options, const std::vector<std::string>& words);

// Runs it with the caller's standard streams and returns zvsh's exit status (outcome.h). What goes
// wrong is said on standard error. Blocks and handles SIGINT, SIGTERM and SIGHUP meanwhile: call it
// once, with no other threads.
int Run(const RunOptions& options);

}  // namespace zerocloud::zvsh
