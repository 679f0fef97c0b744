// RunReport: everything `zerovm` tells about a run, and its two forms: the six lines of ZeroVM's
// report, which its tools parse, and JSON. docs/manifest.md describes both. Pure.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "channels/channel_spec.h"
#include "channels/host_status.h"
#include "sandbox/runtime/manifest.h"
#include "sandbox/runtime/session.h"

namespace zerocloud::runtime {

// Line 1 of the classic report; the numbers are ZeroVM's.
enum class ValidatorState : std::uint8_t { kPassed = 0, kFailed = 1, kNotRun = 2 };

struct RunReport {
  ValidatorState validator = ValidatorState::kNotRun;
  channels::HostStatus status = channels::HostStatus::kOk;  // the exit code of `zerovm`
  std::string state = "ok";                                 // one sentence: how it ended
  std::optional<SessionReport> session;                     // if one was started
  std::vector<channels::ChannelSpec> channels;              // as the session's, in handle order
  std::vector<ManifestWarning> warnings;
  bool is_daemon = false;  // the guest forked, and sessions can go on from there (daemon.h)
};

// How a session's end maps to the exit code and the state sentence.
channels::HostStatus StatusOf(const SessionReport& session);
std::string StateOf(const SessionReport& session);

// Six lines and an empty one, without labels: validator state, daemon (1 if there is one now), the
// guest's exit code, digests ("alias hex alias hex ..." or "disabled"), ten accounting numbers, the
// state.
std::string RenderText(const RunReport& report);

// One JSON object and a newline. Always valid UTF-8: other bytes become U+FFFD.
std::string RenderJson(const RunReport& report);

}  // namespace zerocloud::runtime
