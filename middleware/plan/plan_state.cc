#include "middleware/plan/plan_state.h"

namespace zerocloud::plan {

PlanState::PlanState(const Plan& plan)
    : plan_(plan),
      states_(plan.sessions.size(), SessionState::kWaiting),
      component_of_(plan.sessions.size(), 0),
      unfinished_(plan.components.size(), 0),
      waits_for_(plan.components.size(), 0),
      before_(plan.components.size()),
      left_(plan.sessions.size()) {
  for (std::size_t c = 0; c < plan.components.size(); ++c) {
    const Component& component = plan.components[c];
    unfinished_[c] = component.sessions.size();
    waits_for_[c] = component.after.size();
    for (const std::size_t session : component.sessions) component_of_[session] = c;
    for (const std::size_t earlier : component.after) before_[earlier].push_back(c);
  }
  for (std::size_t c = 0; c < plan.components.size(); ++c) {
    if (waits_for_[c] == 0) MakeReady(c);
  }
}

void PlanState::MakeReady(std::size_t component) {
  const std::span<const std::size_t> sessions = plan_.components[component].sessions;
  if (plan_.components[component].is_gang) {
    ready_.push_back({component, sessions});
    return;
  }
  for (std::size_t i = 0; i < sessions.size(); ++i) {
    ready_.push_back({component, sessions.subspan(i, 1)});
  }
}

std::optional<Unit> PlanState::Next() const {
  if (is_cancelled_ || ready_.empty()) return std::nullopt;
  return ready_.front();
}

void PlanState::Start(const Unit& unit) {
  for (const std::size_t session : unit.sessions) states_[session] = SessionState::kRunning;
  running_ += unit.sessions.size();
  left_ -= unit.sessions.size();
  ready_.pop_front();
}

void PlanState::Finish(std::size_t session, bool has_succeeded) {
  states_[session] = has_succeeded ? SessionState::kSucceeded : SessionState::kFailed;
  --running_;
  if (!has_succeeded) {
    has_failed_ = true;
    is_cancelled_ = true;
    return;
  }
  const std::size_t component = component_of_[session];
  if (--unfinished_[component] > 0) return;
  for (const std::size_t later : before_[component]) {
    if (--waits_for_[later] == 0) MakeReady(later);
  }
}

}  // namespace zerocloud::plan
