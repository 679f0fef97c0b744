#include "middleware/swift/replicas.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "middleware/swift/testing/object_server.h"

namespace zerocloud::swift {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

// Gold on hosts 1 and 2, silver on 2 and 3, and one that is erasure coded.
class ReplicasTest : public ::testing::Test {
 protected:
  ReplicasTest() {
    constexpr std::string_view kDevices =
        R"([{"id": 0, "device": "d1", "ip": "10.0.0.1"}, {"id": 1, "device": "d1", "ip": "10.0.0.2"},
            {"id": 2, "device": "d1", "ip": "10.0.0.3"}])";
    server.Write(server.conf / "swift.conf",
                 "[swift-hash]\nswift_hash_path_suffix = s\n"
                 "[storage-policy:0]\nname = gold\naliases = yellow, Dear\n"
                 "[storage-policy:1]\nname = coded\npolicy_type = erasure_coding\n"
                 "[storage-policy:2]\nname = Silver\n");
    const std::vector<std::uint16_t> zero(64, 0);
    const std::vector<std::uint16_t> one(64, 1);
    const std::vector<std::uint16_t> two(64, 2);
    server.WriteRing({.devices = std::string(kDevices), .rows = {zero, one}});
    server.WriteRing({.devices = std::string(kDevices), .rows = {one, two}}, 2);
  }
  [[nodiscard]] std::unique_ptr<Replicas> Open() const {
    auto replicas = Replicas::Open(server.conf, [](const std::string&) {});
    EXPECT_TRUE(replicas.has_value()) << replicas.error().message;
    return replicas ? std::move(*replicas) : nullptr;
  }
  ObjectServer server;
  store::ObjectPath path{"AUTH_test", "c", "o"};
};

TEST_F(ReplicasTest, AreThoseOfThePolicy) {
  const auto replicas = Open();
  ASSERT_NE(replicas, nullptr);
  EXPECT_TRUE(replicas->has_several_policies());
  EXPECT_THAT(replicas->HostsOf(path, "gold"), ElementsAre("10.0.0.1", "10.0.0.2"));
  for (const char* name : {"silver", "Silver", "SILVER"}) {
    EXPECT_THAT(replicas->HostsOf(path, name), ElementsAre("10.0.0.2", "10.0.0.3"));
  }
  for (const char* alias : {"yellow", "dear"}) {
    EXPECT_THAT(replicas->HostsOf(path, alias), ElementsAre("10.0.0.1", "10.0.0.2"));
  }
  EXPECT_THAT(replicas->HostsOf(path, "coded"), IsEmpty()) << "no host has a whole object";
}

TEST_F(ReplicasTest, OfAnUnknownPolicyAreThoseOfAll) {
  const auto replicas = Open();
  ASSERT_NE(replicas, nullptr);
  const auto all = ElementsAre("10.0.0.1", "10.0.0.2", "10.0.0.3");
  EXPECT_THAT(replicas->HostsOf(path, std::nullopt), all);
  EXPECT_THAT(replicas->HostsOf(path, "made since"), all);
}

TEST_F(ReplicasTest, OfTheOnlyPolicyNeedNoName) {
  server.Write(server.conf / "swift.conf", "[swift-hash]\nswift_hash_path_suffix = s\n");
  const auto replicas = Open();
  ASSERT_NE(replicas, nullptr);
  EXPECT_FALSE(replicas->has_several_policies());
  EXPECT_THAT(replicas->HostsOf(path, "Policy-0"), ElementsAre("10.0.0.1", "10.0.0.2"));
}

TEST_F(ReplicasTest, NeedTheRingsOfAllReplicatedPolicies) {
  std::filesystem::remove(server.conf / "object-2.ring.gz");
  EXPECT_THAT(Replicas::Open(server.conf, {}).error().message, HasSubstr("object-2.ring.gz"));
}

}  // namespace
}  // namespace zerocloud::swift
