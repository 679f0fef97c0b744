// The signals that a service heeds: SIGTERM and SIGINT stop it, SIGHUP has its configuration read
// again. One per process.
#pragma once

#include <cstdint>

namespace zerocloud::tools {

enum class Signal : std::uint8_t { kStop, kReload };

// Takes the signals over, and ignores those that are errors of a write. False: errno says why not.
bool CatchSignals();

// Blocks until the next one; a stop goes first.
Signal WaitForSignal();

}  // namespace zerocloud::tools
