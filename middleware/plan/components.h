// Strongly connected components of a small graph: which groups of a job form a gang. Private to
// this folder.
#pragma once

#include <cstddef>
#include <vector>

namespace zerocloud::plan {

// `targets[v]` are the vertices that v points to. The components in topological order
// (sources first; where that leaves a choice, by their smallest vertex), each with its vertices in
// ascending order. Does not recurse.
std::vector<std::vector<std::size_t>> StronglyConnected(
    const std::vector<std::vector<std::size_t>>& targets);

}  // namespace zerocloud::plan
