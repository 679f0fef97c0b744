#include "middleware/plan/components.h"

#include <algorithm>
#include <functional>
#include <limits>
#include <queue>
#include <utility>

namespace zerocloud::plan {
namespace {

constexpr std::size_t kUnseen = std::numeric_limits<std::size_t>::max();

// Tarjan's algorithm with a stack of its own.
class Search {
 public:
  explicit Search(const std::vector<std::vector<std::size_t>>& targets)
      : targets_(targets),
        index_(targets.size(), kUnseen),
        low_(targets.size(), kUnseen),
        is_open_(targets.size(), false) {}

  std::vector<std::vector<std::size_t>> Run() {
    for (std::size_t v = 0; v < targets_.size(); ++v) {
      if (index_[v] == kUnseen) Visit(v);
    }
    return InOrder();
  }

 private:
  struct Frame {
    std::size_t vertex;
    std::size_t next = 0;
  };

  void Enter(std::size_t vertex) {
    index_[vertex] = low_[vertex] = count_++;
    open_.push_back(vertex);
    is_open_[vertex] = true;
    frames_.push_back({vertex});
  }

  void Visit(std::size_t root) {
    Enter(root);
    while (!frames_.empty()) {
      Frame& frame = frames_.back();
      const std::size_t vertex = frame.vertex;
      if (frame.next < targets_[vertex].size()) {
        const std::size_t target = targets_[vertex][frame.next++];
        if (index_[target] == kUnseen) {
          Enter(target);
        } else if (is_open_[target]) {
          low_[vertex] = std::min(low_[vertex], index_[target]);
        }
        continue;
      }
      frames_.pop_back();
      if (!frames_.empty()) {
        low_[frames_.back().vertex] = std::min(low_[frames_.back().vertex], low_[vertex]);
      }
      if (low_[vertex] == index_[vertex]) Close(vertex);
    }
  }

  void Close(std::size_t root) {
    std::vector<std::size_t>& component = components_.emplace_back();
    std::size_t vertex = kUnseen;
    do {
      vertex = open_.back();
      open_.pop_back();
      is_open_[vertex] = false;
      component.push_back(vertex);
    } while (vertex != root);
    std::ranges::sort(component);
  }

  // Of all components whose sources have been put out, the one with the smallest vertex next.
  std::vector<std::vector<std::size_t>> InOrder() {
    std::vector<std::size_t> component_of(targets_.size());
    for (std::size_t c = 0; c < components_.size(); ++c) {
      for (const std::size_t vertex : components_[c]) component_of[vertex] = c;
    }
    std::vector<std::size_t> sources(components_.size(), 0);  // edges from elsewhere
    for (std::size_t v = 0; v < targets_.size(); ++v) {
      for (const std::size_t target : targets_[v]) {
        if (component_of[v] != component_of[target]) ++sources[component_of[target]];
      }
    }
    using Entry = std::pair<std::size_t, std::size_t>;  // smallest vertex, component
    std::priority_queue<Entry, std::vector<Entry>, std::greater<>> free;
    for (std::size_t c = 0; c < components_.size(); ++c) {
      if (sources[c] == 0) free.emplace(components_[c].front(), c);
    }
    std::vector<std::vector<std::size_t>> ordered;
    while (!free.empty()) {
      const std::size_t c = free.top().second;
      free.pop();
      for (const std::size_t vertex : components_[c]) {
        for (const std::size_t target : targets_[vertex]) {
          const std::size_t other = component_of[target];
          if (other == c || --sources[other] > 0) continue;
          free.emplace(components_[other].front(), other);
        }
      }
      ordered.push_back(std::move(components_[c]));
    }
    return ordered;
  }

  const std::vector<std::vector<std::size_t>>& targets_;
  std::vector<std::size_t> index_;
  std::vector<std::size_t> low_;
  std::vector<bool> is_open_;
  std::vector<std::size_t> open_;
  std::vector<Frame> frames_;
  std::vector<std::vector<std::size_t>> components_;
  std::size_t count_ = 0;
};

}  // namespace

std::vector<std::vector<std::size_t>> StronglyConnected(
    const std::vector<std::vector<std::size_t>>& targets) {
  return Search(targets).Run();
}

}  // namespace zerocloud::plan
