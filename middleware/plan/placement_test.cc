#include "middleware/plan/placement.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>

namespace zerocloud::plan {
namespace {

using Indices = std::vector<std::size_t>;

TEST(Placement, IsNearTheObjectAsLongAsThatDoesNotWaitLong) {
  std::vector<NodeState> nodes(4, NodeState{.slots = 2});
  EXPECT_EQ(PlaceSession(nodes, Indices{2, 3}, {}), 2U);
  nodes[2].sessions = 1;
  EXPECT_EQ(PlaceSession(nodes, Indices{2, 3}, {}), 3U);
  nodes[3].sessions = 3;
  nodes[2].sessions = 3;
  EXPECT_EQ(PlaceSession(nodes, Indices{2, 3}, {}), 2U) << "its turn comes soon";
  nodes[3].sessions = 4;
  nodes[2].sessions = 4;
  EXPECT_EQ(PlaceSession(nodes, Indices{2, 3}, {}), 0U) << "somebody else is free";
  nodes[0].sessions = 2;
  nodes[1].sessions = 2;
  EXPECT_EQ(PlaceSession(nodes, Indices{2, 3}, {}), 2U) << "nobody is free";
}

TEST(Placement, CountsLoadForEachSlot) {
  const std::vector<NodeState> nodes = {{.slots = 2, .sessions = 1}, {.slots = 16, .sessions = 7}};
  EXPECT_EQ(PlaceSession(nodes, Indices{0, 1}, {}), 1U);
}

TEST(Placement, OfASessionWithoutAnObjectIsWhereLeastIsToDo) {
  const std::vector<NodeState> nodes = {{.slots = 4, .sessions = 3}, {.slots = 4, .sessions = 2}};
  EXPECT_EQ(PlaceSession(nodes, {}, {}), 1U);
}

TEST(Placement, TriesNodesThatAreDownLastAndNoneTwice) {
  const std::vector<NodeState> nodes = {{.is_up = false}, {.sessions = 9}, {.is_up = false}};
  EXPECT_EQ(PlaceSession(nodes, Indices{0}, {}), 1U);
  EXPECT_EQ(PlaceSession(nodes, Indices{0}, Indices{1}), 0U);
  EXPECT_EQ(PlaceSession(nodes, Indices{0}, Indices{1, 0}), 2U);
  EXPECT_EQ(PlaceSession(nodes, Indices{0}, Indices{1, 0, 2}), std::nullopt);
  EXPECT_EQ(PlaceSession({}, Indices{7}, {}), std::nullopt);
}

TEST(Placement, KeepsCompanyAsLongAsThatDoesNotWaitLong) {
  std::vector<NodeState> nodes(3, NodeState{.slots = 2});
  nodes[1].sessions = 3;
  EXPECT_EQ(PlaceSession(nodes, Indices{2}, {}, 1), 1U);
  EXPECT_EQ(PlaceSession(nodes, Indices{2}, Indices{1}, 1), 2U) << "it was tried";
  EXPECT_EQ(PlaceSession(nodes, Indices{2}, {}, 7), 2U) << "there is no such node";
  nodes[1].sessions = 4;
  EXPECT_EQ(PlaceSession(nodes, Indices{2}, {}, 1), 2U) << "it would wait";
  nodes[1] = {.is_up = false, .slots = 2};
  EXPECT_EQ(PlaceSession(nodes, Indices{2}, {}, 1), 2U) << "it does not answer";
}

// Where every node has a replica, none gets more than one session above its share, whatever the
// nodes' slots and in whatever order an object's ring names them.
TEST(Placement, SpreadsOverReplicas) {
  std::mt19937 random(11);
  const auto below = [&](std::size_t n) { return static_cast<std::size_t>(random()) % n; };
  for (int round = 0; round < 2'000; ++round) {
    std::vector<NodeState> nodes(1 + below(7));
    Indices holders(nodes.size());
    std::size_t slots = 0;
    for (std::size_t i = 0; i < nodes.size(); ++i) {
      nodes[i].slots = 1 + below(8);
      slots += nodes[i].slots;
      holders[i] = i;
    }
    const std::size_t sessions = below(4 * slots);
    for (std::size_t placed = 0; placed < sessions; ++placed) {
      std::ranges::shuffle(holders, random);
      const auto chosen = PlaceSession(nodes, holders, {});
      ASSERT_TRUE(chosen.has_value());
      ++nodes[chosen.value_or(0)].sessions;
      for (const NodeState& node : nodes) {
        EXPECT_LE(node.sessions, placed * node.slots / slots + 1);
      }
    }
  }
}

TEST(Placement, OfAGangIsNearItsObjectsAndOtherwiseTogether) {
  const std::vector<NodeState> nodes = {{.slots = 2}, {.slots = 4, .sessions = 1}, {.slots = 3}};
  using Holders = std::vector<Indices>;
  EXPECT_EQ(PlaceGang(nodes, Holders{{0}, {}, {2, 0}, {}}), (Indices{0, 2, 2, 2}));
  EXPECT_EQ(PlaceGang(nodes, Holders{{}, {}, {}}), (Indices{1, 1, 1}));
  EXPECT_EQ(PlaceGang(nodes, Holders{{0}, {0}, {0}}), (Indices{0, 0, 1})) << "0 is full";
  EXPECT_EQ(PlaceGang(nodes, Holders(8)).value_or(Indices{}).size(), 8U);
  EXPECT_EQ(PlaceGang(nodes, Holders(9)), std::nullopt);
}

TEST(Placement, OfAGangTakesFreeSlotsOnlyAndFindsThemInRandomClusters) {
  std::mt19937 random(11);
  const auto below = [&](std::size_t bound) { return random() % bound; };
  for (int round = 0; round < 2000; ++round) {
    std::vector<NodeState> nodes(1 + below(5));
    std::size_t free = 0;
    for (NodeState& node : nodes) {
      node = {.is_up = below(4) != 0, .slots = below(4), .sessions = below(5)};
      if (node.is_up && node.slots > node.sessions) free += node.slots - node.sessions;
    }
    std::vector<Indices> holders(1 + below(8));
    for (Indices& its : holders) {
      while (below(2) != 0) its.push_back(below(nodes.size() + 1));
    }
    const auto chosen = PlaceGang(nodes, holders);
    ASSERT_EQ(chosen.has_value(), holders.size() <= free);
    for (const std::size_t node : chosen.value_or(Indices{})) {
      ASSERT_TRUE(nodes[node].is_up);
      EXPECT_LT(nodes[node].sessions++, nodes[node].slots);
    }
  }
}

// What must hold whatever the cluster looks like.
TEST(Placement, KeepsItsRulesInRandomClusters) {
  std::mt19937 random(7);
  const auto below = [&](std::size_t n) { return static_cast<std::size_t>(random()) % n; };
  for (int round = 0; round < 20'000; ++round) {
    std::vector<NodeState> nodes(below(6));
    for (NodeState& node : nodes) {
      node = {.is_up = below(4) != 0, .slots = below(4), .sessions = below(9)};
    }
    Indices holders;
    Indices tried;
    for (std::size_t i = 0; i < nodes.size() + 1; ++i) {
      if (below(2) == 0) holders.push_back(i);
      if (below(3) == 0) tried.push_back(i);
    }
    std::ranges::shuffle(holders, random);
    const auto is_in = [](const Indices& list, std::size_t i) {
      return std::ranges::find(list, i) != list.end();
    };
    const auto chosen = PlaceSession(nodes, holders, tried);
    bool is_any_left = false;
    bool is_any_up = false;
    for (std::size_t i = 0; i < nodes.size(); ++i) {
      if (is_in(tried, i)) continue;
      is_any_left = true;
      is_any_up = is_any_up || nodes[i].is_up;
      if (!chosen || !nodes[i].is_up || !nodes[*chosen].is_up) continue;
      // Nobody of the same kind has less to do.
      if (is_in(holders, i) == is_in(holders, *chosen)) {
        const std::size_t its = std::max<std::size_t>(nodes[i].slots, 1);
        const std::size_t ours = std::max<std::size_t>(nodes[*chosen].slots, 1);
        EXPECT_GE(nodes[i].sessions * ours, nodes[*chosen].sessions * its);
      }
    }
    ASSERT_EQ(chosen.has_value(), is_any_left);
    if (!chosen) continue;
    EXPECT_FALSE(is_in(tried, *chosen));
    EXPECT_EQ(nodes[*chosen].is_up, is_any_up);
  }
}

}  // namespace
}  // namespace zerocloud::plan
