// Plans for property tests: random groups, random connections, cycles included. Test code.
#pragma once

#include <algorithm>
#include <random>
#include <string>

#include "middleware/plan/plan.h"

namespace zerocloud::plan {

class EmptyListing : public Listing {
 public:
  Result<std::vector<std::string>> Containers(const std::string&, const std::string&,
                                              std::size_t) override {
    return std::vector<std::string>{};
  }
  Result<std::vector<std::string>> Objects(const std::string&, const std::string&,
                                           const std::string&, std::size_t) override {
    return std::vector<std::string>{};
  }
};

inline Plan RandomPlan(std::mt19937& random) {
  const auto below = [&](std::size_t n) { return static_cast<std::size_t>(random()) % n; };
  job::JobSpec spec;
  spec.groups.resize(1 + below(7));
  for (std::size_t i = 0; i < spec.groups.size(); ++i) {
    job::Group& group = spec.groups[i];
    group.name = std::string(1, static_cast<char>('a' + i));
    group.count = 1 + below(5);
    for (std::size_t target = 0; target < spec.groups.size(); ++target) {
      const bool is_forward = target > i;
      const bool may_loop = target != i || *group.count > 1;
      if (may_loop && below(is_forward ? 3 : 10) == 0) group.connect.push_back(target);
    }
  }
  EmptyListing listing;
  job::JobLimits limits;
  return std::move(
      Expand(std::move(spec), {.account = "AUTH_me", .object = {}}, limits, listing).value());
}

}  // namespace zerocloud::plan
