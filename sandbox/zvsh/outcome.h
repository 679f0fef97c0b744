// Outcome: how a run ended, as zvsh's exit status and a sentence. Pure.
//
// An exit status has eight bits and must say both what the guest said and what the host says, so
// each value has one meaning; what does not fit into it is in the sentence. docs/zvsh.md has the
// table.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "channels/base/result.h"

namespace zerocloud::zvsh {

// Of zvsh's exit status. A guest's own codes 0 to 123 and 200 to 255 are the status as they are.
inline constexpr int kStatusTimedOut = 124;    // as of timeout(1)
inline constexpr int kStatusOtherCode = 125;   // a guest's code that has no status of its own
inline constexpr int kStatusSignal = 128;      // + the signal that the guest raised
inline constexpr int kStatusHost = 160;        // + zerovm's exit code, up to 38
inline constexpr int kStatusHostLarger = 199;  // a larger one of zerovm: 93
inline constexpr int kStatusUsage = kStatusHost + 22;
inline constexpr int kFirstFreeStatus = 200;

// What zvsh wants to know of a report (zerovm --report json).
struct Outcome {
  int host_status = 0;  // zerovm's exit code
  std::string state = {};
  std::string cause = {};  // of the session; empty: there was none
  std::int64_t exit_code = 0;
  int signal = 0;
};

// kInvalid: not such a report.
Result<Outcome> ReadOutcome(std::string_view report);

struct Verdict {
  int status = 0;
  std::string sentence;  // for standard error; empty when the status says it all
};
Verdict JudgeOutcome(const Outcome& outcome);

}  // namespace zerocloud::zvsh
