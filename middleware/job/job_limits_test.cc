#include "middleware/job/job_limits.h"

#include <gtest/gtest.h>

#include <set>

namespace zerocloud::job {
namespace {

TEST(JobLimits, EveryFieldIsDescribedOnce) {
  EXPECT_EQ(DescribeLimits().size() * sizeof(std::uint64_t), sizeof(JobLimits));
  std::set<std::string_view> names;
  for (const LimitDescription& limit : DescribeLimits()) {
    EXPECT_TRUE(names.insert(limit.name).second) << limit.name;
    EXPECT_TRUE(limit.prose.ends_with('.')) << limit.name;
    JobLimits limits;
    EXPECT_GT(limits.*limit.field, 0U) << limit.name;
    ASSERT_TRUE(SetLimit(limits, limit.name, 12345).has_value());
    EXPECT_EQ(limits.*limit.field, 12345U);
    EXPECT_NE(LimitsToJson(limits).find(std::string(limit.name) + "\": 12345"), std::string::npos);
  }
}

TEST(JobLimits, RefusesUnknownNamesAndZero) {
  JobLimits limits;
  EXPECT_EQ(SetLimit(limits, "grops", 1).error().code, ErrorCode::kInvalid);
  EXPECT_EQ(SetLimit(limits, "groups", 0).error().code, ErrorCode::kInvalid);
}

TEST(JobLimits, RefusalNamesTheLimitAndItsValue) {
  const std::unexpected<Error> error = OverLimit("groups in the job:", "groups", 3, 4);
  EXPECT_EQ(error.error().code, ErrorCode::kLimitExceeded);
  EXPECT_EQ(error.error().message, "groups in the job: 4; the limit groups is 3");
}

}  // namespace
}  // namespace zerocloud::job
