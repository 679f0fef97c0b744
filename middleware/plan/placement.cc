#include "middleware/plan/placement.h"

#include <algorithm>
#include <array>

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

}  // namespace zerocloud::plan
