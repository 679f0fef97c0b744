#include "sandbox/runtime/processor_place.h"

#include <gtest/gtest.h>

#include <array>
#include <map>
#include <optional>
#include <vector>

namespace zerocloud::runtime {
namespace {

// Numbers that no other test of this process uses.
constexpr std::array kProcessors = {9001, 9002, 9003};

TEST(ProcessorPlace, IsThatOfWhoAsksWhileItIsFree) {
  for (const int here : kProcessors) {
    EXPECT_EQ(ProcessorPlace::Take(here, kProcessors).processor(), here);
  }
}

TEST(ProcessorPlace, OfThoseWhoLiveAtOnceAreSpread) {
  std::vector<ProcessorPlace> places;
  std::map<int, int> taken;
  for (int i = 0; i < 9; ++i) {
    places.push_back(ProcessorPlace::Take(9002, kProcessors));
    ++taken[places.back().processor()];
  }
  EXPECT_EQ(taken, (std::map<int, int>{{9001, 3}, {9002, 3}, {9003, 3}}));
}

TEST(ProcessorPlace, IsFreeAgainWhenItIsGivenBack) {
  auto first = std::optional(ProcessorPlace::Take(9001, kProcessors));
  const ProcessorPlace second = ProcessorPlace::Take(9001, kProcessors);
  EXPECT_NE(second.processor(), 9001);
  ProcessorPlace moved = std::move(*first);
  first.reset();
  EXPECT_NE(ProcessorPlace::Take(9001, kProcessors).processor(), 9001) << "it was moved only";
  moved = ProcessorPlace();
  EXPECT_EQ(ProcessorPlace::Take(9001, kProcessors).processor(), 9001);
}

TEST(ProcessorPlace, MayBeAnyIfWhoAsksIsElsewhere) {
  const ProcessorPlace place = ProcessorPlace::Take(-1, kProcessors);
  EXPECT_TRUE(place.processor() >= 9001 && place.processor() <= 9003);
}

}  // namespace
}  // namespace zerocloud::runtime
