#include "middleware/plan/components.h"

#include <gtest/gtest.h>

namespace zerocloud::plan {
namespace {

using Graph = std::vector<std::vector<std::size_t>>;

TEST(Components, FindsCyclesAndTheirOrder) {
  //  0 -> 1 -> 2 -> 1,  2 -> 3
  EXPECT_EQ(StronglyConnected({{1}, {2}, {1, 3}, {}}), (Graph{{0}, {1, 2}, {3}}));
  EXPECT_EQ(StronglyConnected({{0}}), (Graph{{0}}));
  EXPECT_EQ(StronglyConnected({{1}, {2}, {0}}), (Graph{{0, 1, 2}}));
  EXPECT_EQ(StronglyConnected({}), Graph{});
}

TEST(Components, KeepsTheGivenOrderWhereItMay) {
  EXPECT_EQ(StronglyConnected({{}, {}, {}}), (Graph{{0}, {1}, {2}}));
  EXPECT_EQ(StronglyConnected({{3}, {}, {1}, {}}), (Graph{{0}, {2}, {1}, {3}}));
}

TEST(Components, PutsSourcesBeforeTheirTargets) {
  const Graph components = StronglyConnected({{}, {0}, {1}, {0, 2}});
  EXPECT_EQ(components, (Graph{{3}, {2}, {1}, {0}}));
}

TEST(Components, SurvivesALongChain) {
  Graph chain(200'000);
  for (std::size_t i = 0; i + 1 < chain.size(); ++i) chain[i].push_back(i + 1);
  EXPECT_EQ(StronglyConnected(chain).size(), chain.size());
}

}  // namespace
}  // namespace zerocloud::plan
