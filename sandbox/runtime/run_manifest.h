// One run of a manifest from the file to the report: what the `zerovm` program does.
//
// Order, so that nothing on the host changes before everything is accepted: read and parse the
// manifest, load and verify the program, check all channels, check that the guest fits its memory,
// open the channels (outputs are created and cut now), run the session, cut writable files to what
// the report counts.
//
// Call it from a thread that lives until it returns (see session.h). Blocks until the session ends.
#pragma once

#include <sys/types.h>

#include <functional>
#include <string>

#include "sandbox/runtime/report.h"

namespace zerocloud::runtime {

struct RunOptions {
  bool verify_only = false;  // stop before the first change on the host
  // If set: the session stops before the guest's first instruction (SessionRequest), and this is
  // called with its process when it has.
  std::function<void(pid_t)> on_stopped_for_debugger;
};

// Never fails: what goes wrong is in the report.
RunReport RunManifest(const std::string& manifest_path, const RunOptions& options);

}  // namespace zerocloud::runtime
