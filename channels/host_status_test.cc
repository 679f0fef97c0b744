#include "channels/host_status.h"

#include <gtest/gtest.h>

#include <set>
#include <string_view>

namespace zerocloud::channels {
namespace {

TEST(HostStatus, EveryRowHasAStatusANameAndASentenceOfItsOwn) {
  std::set<HostStatus> statuses;
  std::set<std::string_view> names;
  for (const HostStatusRow& row : kHostStatuses) {
    EXPECT_TRUE(statuses.insert(row.status).second) << row.name;
    EXPECT_TRUE(names.insert(row.name).second) << row.name;
    EXPECT_EQ(ToString(row.status), row.name);
  }
  EXPECT_EQ(ToString(HostStatus::kManifest), "manifest");
  const auto none = static_cast<HostStatus>(99);
  ASSERT_FALSE(statuses.contains(none));
  EXPECT_EQ(ToString(none), "io");
}

}  // namespace
}  // namespace zerocloud::channels
