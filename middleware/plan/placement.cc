#include "middleware/plan/placement.h"

#include <algorithm>
#include <array>
#include <utility>

namespace zerocloud::plan {
namespace {

std::size_t SlotsOf(const NodeState& node) { return std::max<std::size_t>(node.slots, 1); }

// Sessions for each slot, compared without rounding.
bool HasLessToDo(const NodeState& a, const NodeState& b) {
  return a.sessions * SlotsOf(b) < b.sessions * SlotsOf(a);
}

}  // namespace

std::optional<std::size_t> PlaceSession(std::span<const NodeState> nodes,
                                        std::span<const std::size_t> holders,
                                        std::span<const std::size_t> tried,
                                        std::optional<std::size_t> company) {
  // Classes of nodes, the best first, each with the best of its members.
  enum Class : std::size_t { kCompany, kHolder, kFree, kBusyHolder, kBusy, kDown, kClasses };
  std::array<std::optional<std::size_t>, kClasses> best;
  const auto consider = [&](std::size_t index, bool is_holder) {
    if (index >= nodes.size() || std::ranges::find(tried, index) != tried.end()) return;
    const NodeState& node = nodes[index];
    const bool is_busy = node.sessions >= (is_holder ? 2 : 1) * SlotsOf(node);
    Class its = kDown;
    if (node.is_up && is_holder) its = is_busy ? kBusyHolder : kHolder;
    if (node.is_up && !is_holder) its = is_busy ? kBusy : kFree;
    if (node.is_up && index == company && node.sessions < 2 * SlotsOf(node)) its = kCompany;
    if (!best[its] || HasLessToDo(node, nodes[*best[its]])) best[its] = index;
  };
  for (const std::size_t index : holders) consider(index, true);
  for (std::size_t index = 0; index < nodes.size(); ++index) {
    if (std::ranges::find(holders, index) == holders.end()) consider(index, false);
  }
  for (const std::optional<std::size_t>& chosen : best) {
    if (chosen) return chosen;
  }
  return std::nullopt;
}

std::optional<std::vector<std::size_t>> PlaceGang(
    std::span<const NodeState> nodes, std::span<const std::vector<std::size_t>> holders) {
  std::vector<std::size_t> free(nodes.size());
  for (std::size_t i = 0; i < nodes.size(); ++i) {
    if (nodes[i].is_up) free[i] = nodes[i].slots - std::min(nodes[i].slots, nodes[i].sessions);
  }
  std::vector<std::size_t> members(nodes.size());
  std::vector<std::optional<std::size_t>> places(holders.size());
  const auto place = [&](std::size_t session, std::size_t node) {
    places[session] = node;
    --free[node];
    ++members[node];
  };
  for (std::size_t session = 0; session < holders.size(); ++session) {
    std::optional<std::size_t> best;
    for (const std::size_t node : holders[session]) {
      if (node >= nodes.size() || free[node] == 0) continue;
      if (!best || free[node] > free[*best]) best = node;
    }
    if (best) place(session, *best);
  }
  for (std::size_t session = 0; session < holders.size(); ++session) {
    if (places[session]) continue;
    std::optional<std::size_t> best;
    for (std::size_t node = 0; node < nodes.size(); ++node) {
      if (free[node] == 0) continue;
      const auto rank = [&](std::size_t each) { return std::pair(members[each], free[each]); };
      if (!best || rank(node) > rank(*best)) best = node;
    }
    if (!best) return std::nullopt;
    place(session, *best);
  }
  std::vector<std::size_t> chosen;
  chosen.reserve(places.size());
  for (const std::optional<std::size_t>& node : places) chosen.push_back(node.value_or(0));
  return chosen;
}

}  // namespace zerocloud::plan
