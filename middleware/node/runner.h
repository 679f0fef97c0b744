// Runner: what the engine needs of the sandbox, as an interface, so that tests run jobs without
// one.
#pragma once

#include <chrono>
#include <cstddef>
#include <memory>
#include <optional>
#include <span>

#include "channels/base/result.h"
#include "sandbox/runtime/session.h"

namespace zerocloud::node {

struct ElsewhereEnd;  // elsewhere.h

// One session under way; runtime::Session tells what each member means. Used by the engine's thread
// only. Destroying it kills the process and reaps it.
class RunningSession {
 public:
  virtual ~RunningSession() = default;
  [[nodiscard]] virtual int pidfd() const = 0;
  [[nodiscard]] virtual std::chrono::steady_clock::time_point deadline() const = 0;
  virtual void Kill(runtime::Cause cause) = 0;
  virtual runtime::SessionReport Collect() = 0;
  // After Collect(), once: what there is to tell of a session that did not run on this machine;
  // null for one that did.
  virtual std::unique_ptr<ElsewhereEnd> TakeElsewhere();
};

class Runner {
 public:
  virtual ~Runner() = default;
  // Verifies a program. Called by any thread. A fake may return null: then it runs sessions
  // without.
  virtual Result<std::shared_ptr<const loader::Image>> Load(std::span<const std::byte> program) = 0;
  // Called by the engine's thread only.
  virtual Result<std::unique_ptr<RunningSession>> Start(runtime::SessionRequest request) = 0;
};

// The real one.
std::unique_ptr<Runner> MakeSandboxRunner();

}  // namespace zerocloud::node
