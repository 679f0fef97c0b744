// Placement: which of a cluster's nodes a session should run on. Pure; whoever runs sessions asks
// it for each attempt.
//
// Nodes that hold a replica of the object come first, of those the one with the least to do for
// each of its slots. A node that holds a replica but already has twice as many sessions as slots is
// passed over for one that is free: reading over the network is then sooner done than waiting. A
// node that does not answer is chosen only when no other is left.
//
// A session that should run where another one does comes there, before all this, unless that node
// has twice as many sessions as slots or does not answer.
#pragma once

#include <cstddef>
#include <optional>
#include <span>
#include <vector>

namespace zerocloud::plan {

struct NodeState {
  bool is_up = true;
  std::size_t slots = 1;
  std::size_t sessions = 0;  // that run there or wait there
};

// Index of a node that is not in `tried`, or nothing if all are. `holders` are the nodes with a
// replica, the preferred first; `company` is where the session should be because another is there.
// Indices beyond `nodes` are ignored.
std::optional<std::size_t> PlaceSession(std::span<const NodeState> nodes,
                                        std::span<const std::size_t> holders,
                                        std::span<const std::size_t> tried,
                                        std::optional<std::size_t> company = std::nullopt);

// A node with a free slot for each session of a gang, or nothing if there are not enough free slots
// on nodes that answer. `holders` as above, of each session. Whose object no node with a free slot
// holds goes where most of its gang is: so fewer of its streams cross nodes.
std::optional<std::vector<std::size_t>> PlaceGang(
    std::span<const NodeState> nodes, std::span<const std::vector<std::size_t>> holders);

}  // namespace zerocloud::plan
