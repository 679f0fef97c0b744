// One run of a manifest from the file to the report: what the `zerovm` program does.
//
// Order, so that nothing on the host changes before everything is accepted: read and parse the
// manifest, load and verify the program, check that the guest fits its memory, check all channels,
// open the channels (outputs are created and cut now), wait for the other sides of FIFOs and
// network channels, run the session, finish the network channels, cut writable files to what the
// report counts.
//
// Call it from a thread that lives until it returns (see session.h), with SIGXFSZ ignored. Blocks
// until the session ends.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "channels/base/result.h"
#include "channels/digest.h"
#include "sandbox/runtime/report.h"

namespace zerocloud::runtime {

struct RunOptions {
  bool verify_only = false;      // stop before the first change on the host
  bool extends_outputs = false;  // empty outputs have the length put_size while the session runs
  channels::DigestKind digest_kind = channels::DigestKind::kSha1;
  std::string verdict_directory;     // of a VerdictCache; empty: none
  std::uint32_t trace_capacity = 0;  // calls to note in the report
  // As in SessionRequest; 0 and empty: none.
  std::chrono::milliseconds cpu_limit{0};
  std::uint64_t memory_limit = 0;
  bool wants_own_namespaces = false;
  std::string control_groups = {};
  // If set: the session stops before the guest's first instruction (SessionRequest), and this is
  // called with its process when it has.
  std::function<void(pid_t)> on_stopped_for_debugger = {};
  // Called when everything is accepted and the manifest has a Job, with its socket's path; nothing
  // is opened or started yet. Only with it does a fork of the guest leave a snapshot.
  std::function<Result<void>(const std::string& socket_path)> before_job = {};
};

// Never fails: what goes wrong is in the report.
RunReport RunManifest(const std::string& manifest_path, const RunOptions& options);

// One session from the text of a manifest that goes on where a guest forked. Channels must be those
// of the fork but for sources and digests; Program, Memory and Job must be there and are ignored.
// `options` are those of the first session. Can be called by several threads at once.
RunReport ContinueManifest(std::string_view text, std::shared_ptr<const Snapshot> snapshot,
                           const RunOptions& options);

// Everything that keeps a manifest from being run, and every line that it has to no effect, one
// "<file>:<line>: error: ..." or "warning: ..." each, and the exit code. Changes nothing on the
// host.
struct ManifestFindings {
  channels::HostStatus status = channels::HostStatus::kOk;  // of the first error
  std::string text;
};
ManifestFindings CheckManifestFile(const std::string& manifest_path);

}  // namespace zerocloud::runtime
