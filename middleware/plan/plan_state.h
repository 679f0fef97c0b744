// PlanState: how far one plan has come, as a pure state machine. It decides what may start next;
// someone else starts it and reports back.
//
//   while (auto unit = state.Next()) { state.Start(*unit); ... }
//   state.Finish(session, succeeded);     // as sessions end, in any order
//   state.Cancel();                       // nothing new starts
//   state.is_done()                       // nothing runs, and nothing will start
//
// The first failure cancels: what has not started never does, and what runs should be killed by the
// owner, who reports its end like any other.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <optional>
#include <span>
#include <vector>

#include "middleware/plan/plan.h"

namespace zerocloud::plan {

// What starts at once: one session, or all sessions of a gang. Views the plan.
struct Unit {
  std::size_t component = 0;
  std::span<const std::size_t> sessions;
};

enum class SessionState : std::uint8_t { kWaiting, kRunning, kSucceeded, kFailed };

class PlanState {
 public:
  // `plan` outlives the state.
  explicit PlanState(const Plan& plan);

  // The unit that may start now and comes first in the plan, or nothing. Does not change anything.
  [[nodiscard]] std::optional<Unit> Next() const;
  // REQUIRES: `unit` is what Next() returns.
  void Start(const Unit& unit);
  // REQUIRES: the session is running.
  void Finish(std::size_t session, bool has_succeeded);
  void Cancel() { is_cancelled_ = true; }

  [[nodiscard]] SessionState state(std::size_t session) const { return states_[session]; }
  [[nodiscard]] std::size_t running() const { return running_; }
  [[nodiscard]] bool is_cancelled() const { return is_cancelled_; }
  [[nodiscard]] bool is_done() const { return running_ == 0 && (is_cancelled_ || left_ == 0); }
  // Every session has ended well.
  [[nodiscard]] bool has_succeeded() const { return left_ == 0 && running_ == 0 && !has_failed_; }

 private:
  void MakeReady(std::size_t component);

  const Plan& plan_;
  std::vector<SessionState> states_;
  std::vector<std::size_t> component_of_;         // of each session
  std::vector<std::size_t> unfinished_;           // sessions of each component that have not ended
  std::vector<std::size_t> waits_for_;            // components before each that have not ended
  std::vector<std::vector<std::size_t>> before_;  // components that wait for each
  std::deque<Unit> ready_;
  std::size_t running_ = 0;
  std::size_t left_ = 0;  // sessions that have not started
  bool is_cancelled_ = false;
  bool has_failed_ = false;
};

}  // namespace zerocloud::plan
