// RunReport: everything `zerovm` tells about a run, and its forms: the six lines of ZeroVM's
// report, which its tools parse, JSON, and the time trace. docs/manifest.md describes them. Pure.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "channels/channel_spec.h"
#include "channels/digest.h"
#include "channels/host_status.h"
#include "channels/network/links.h"
#include "sandbox/runtime/manifest.h"
#include "sandbox/runtime/run_cause.h"
#include "sandbox/runtime/session.h"

namespace zerocloud::runtime {

// Line 1 of the classic report; the numbers are ZeroVM's.
enum class ValidatorState : std::uint8_t { kPassed = 0, kFailed = 1, kNotRun = 2 };

// A step of a run, and when it was done.
struct RunStage {
  std::string name;
  std::chrono::nanoseconds since_start{0};
};

struct RunReport {
  ValidatorState validator = ValidatorState::kNotRun;
  channels::HostStatus status = channels::HostStatus::kOk;  // the exit code of `zerovm`
  std::string state = "ok";                                 // one sentence: how it ended
  std::optional<SessionReport> session = std::nullopt;      // if one was started
  std::vector<channels::ChannelSpec> channels = {};         // as the session's, in handle order
  std::vector<ManifestWarning> warnings = {};

  std::string_view cause = kCauseVerified;  // one of kRunCauses
  std::string program_digest = {};          // SHA-256 of the program's file, once it is read
  bool is_cached_verdict = false;           // `validator` comes from a verdict cache
  channels::DigestKind digest_kind = channels::DigestKind::kSha1;
  std::optional<std::int64_t> node = std::nullopt;
  // What the session may have: of the manifest, and of RunOptions. 0: not known, or no limit.
  std::uint64_t memory_size = 0;
  std::int64_t timeout_seconds = 0;
  std::chrono::microseconds cpu_limit{0};
  std::uint64_t memory_limit = 0;
  std::vector<MappedAlias> mapped = {};
  bool has_readiness = false;
  std::vector<network::LinkReport> links = {};
  std::vector<RunStage> stages = {};
  std::chrono::nanoseconds session_start{0};  // on the clock of `stages`
  bool is_daemon = false;  // the guest forked, and sessions can go on from there (daemon.h)
};

// How a session's end maps to the exit code and the state sentence.
channels::HostStatus StatusOf(const SessionReport& session);
std::string StateOf(const SessionReport& session);
std::string_view CauseOf(const SessionReport& session);  // one of kRunCauses

// "<alias>;<n>": how a report names source n of a channel.
std::string SourceName(const RunReport& report, std::size_t channel, std::size_t source);

// Six lines and an empty one, without labels: validator state, daemon (1 if there is one now), the
// guest's exit code, digests ("alias hex alias hex ..." or "disabled"), ten accounting numbers, the
// state.
std::string RenderText(const RunReport& report);

// One JSON object and a newline. Always valid UTF-8: other bytes become U+FFFD.
std::string RenderJson(const RunReport& report);

// A line for each stage and each traced call: "seconds since the start [seconds since the line
// before]: what".
std::string RenderTrace(const RunReport& report);

}  // namespace zerocloud::runtime
