#include "middleware/swift/ring.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "middleware/swift/ring_file.h"
#include "middleware/swift/testing/object_server.h"

namespace zerocloud::swift {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

constexpr const char* kThree =
    R"([{"id": 0, "device": "d1", "ip": "10.0.0.1", "replication_ip": "10.1.0.1", "meta": "{"},
        null, {"id": 2, "device": "d2", "ip": "10.0.0.2", "weight": 1.5, "more": {"ip": "no"}}])";

std::vector<std::string> NamesOf(const Ring& ring, std::uint32_t partition) {
  std::vector<std::string> names;
  for (const RingDevice* device : ring.DevicesOf(partition)) names.push_back(device->name);
  return names;
}

TEST(RingFormat, TellsTheDevicesOfAPartition) {
  for (const char* order : {"little", "big"}) {
    const std::string bytes = RingOf({.part_shift = 30,
                                      .devices = kThree,
                                      .order = order,
                                      .rows = {{0, 2, 0, 2}, {2, 0, 2, 0}, {0, 0}}});
    const Ring ring = Ring::Parse(bytes).value();
    EXPECT_EQ(ring.part_shift(), 30U);
    EXPECT_THAT(NamesOf(ring, 0), ElementsAre("d1", "d2", "d1"));
    EXPECT_THAT(NamesOf(ring, 3), ElementsAre("d2", "d1"));  // the last replica is a half one
    EXPECT_EQ(ring.devices()[0].address, "10.0.0.1");
    EXPECT_EQ(ring.devices()[0].replication_address, "10.1.0.1");
    EXPECT_EQ(ring.devices()[2].address, "10.0.0.2");
    EXPECT_FALSE(ring.devices()[1].is_there);
  }
}

TEST(RingFormat, LeavesOutDevicesThatAreNotThere) {
  const Ring ring =
      Ring::Parse(RingOf({.part_shift = 31, .devices = kThree, .rows = {{1, 65'535}, {2, 2}}}))
          .value();
  EXPECT_THAT(NamesOf(ring, 0), ElementsAre("d2"));
  EXPECT_THAT(NamesOf(ring, 1), ElementsAre("d2"));
}

TEST(RingFormat, RefusesEveryCut) {
  const std::string whole =
      RingOf({.part_shift = 30, .devices = kThree, .rows = {{0, 0, 0, 0}, {2, 2, 2, 2}}});
  ASSERT_TRUE(Ring::Parse(whole).has_value());
  // A last row that is shorter is a ring, too.
  for (std::size_t size = 0; size <= whole.size() - 8; ++size) {
    EXPECT_FALSE(Ring::Parse(whole.substr(0, size)).has_value()) << size;
  }
  EXPECT_FALSE(Ring::Parse(whole + "x").has_value());
  EXPECT_FALSE(Ring::Parse(whole + "xx").has_value());
}

TEST(RingFormat, RefusesWhatItDoesNotKnow) {
  std::string later = RingOf({});
  later[5] = 2;
  EXPECT_THAT(Ring::Parse(later).error().message, HasSubstr("version 2"));
  EXPECT_THAT(Ring::Parse(std::string("\x80\x02}q\0.", 6)).error().message, HasSubstr("R1NG"));
}

TEST(RingFormat, RefusesDevicesThatLeadElsewhere) {
  for (const char* name : {"", ".", "..", "a/b", "/etc", "a\\u0000b"}) {
    const std::string devices = std::string(R"([{"device": ")") + name + R"(", "ip": "10.0.0.1"}])";
    EXPECT_THAT(Ring::Parse(RingOf({.devices = devices})).error().message, HasSubstr("directory"))
        << name;
  }
  EXPECT_FALSE(Ring::Parse(RingOf({.devices = R"([{"ip": "10.0.0.1"}])"})).has_value());
}

TEST(RingFormat, RefusesNumbersOutOfRange) {
  EXPECT_FALSE(Ring::Parse(RingOf({.part_shift = 7, .rows = {{0}}})).has_value());
  EXPECT_FALSE(Ring::Parse(RingOf({.part_shift = 33, .rows = {{0}}})).has_value());
  EXPECT_FALSE(
      Ring::Parse(RingOf({.rows = std::vector<std::vector<std::uint16_t>>(65, {0})})).has_value());
  EXPECT_FALSE(Ring::Parse(RingOf({.devices = "]"})).has_value());
  EXPECT_FALSE(Ring::Parse(RingOf({.devices = std::string(100, '[')})).has_value());
}

TEST(Gunzip, RefusesDamageTailsAndBombs) {
  const std::string packed = Gzip(std::string(100'000, 'x'));
  EXPECT_EQ(Gunzip(packed, 100'000).value(), std::string(100'000, 'x'));
  EXPECT_EQ(Gunzip(packed, 99'999).error().code, ErrorCode::kLimitExceeded);
  for (std::size_t size = 0; size < packed.size(); ++size) {
    EXPECT_FALSE(Gunzip(packed.substr(0, size), 100'000).has_value()) << size;
  }
  EXPECT_FALSE(Gunzip(packed + packed, 1'000'000).has_value());
  std::string damaged = packed;
  damaged[damaged.size() - 6] ^= 1;  // of the check sum
  EXPECT_FALSE(Gunzip(damaged, 100'000).has_value());
}

TEST(RingFile, IsReadAgainWhenItChanges) {
  const ObjectServer server;
  std::vector<std::string> complaints;
  const auto file = RingFile::Open(server.conf / "object.ring.gz", [&](const std::string& text) {
                      complaints.push_back(text);
                    }).value();
  EXPECT_EQ(file->Current()->part_shift(), 26U);
  server.WriteRing({.part_shift = 20});
  EXPECT_EQ(file->Current()->part_shift(), 20U);
  EXPECT_TRUE(complaints.empty());
}

TEST(RingFile, ABrokenOneIsComplainedOfOnceAndTheLastGoodOneStays) {
  const ObjectServer server;
  std::vector<std::string> complaints;
  const auto file = RingFile::Open(server.conf / "object.ring.gz", [&](const std::string& text) {
                      complaints.push_back(text);
                    }).value();
  server.Write(server.conf / "object.ring.gz", "not a ring");
  for (int i = 0; i < 3; ++i) EXPECT_EQ(file->Current()->part_shift(), 26U);
  ASSERT_EQ(complaints.size(), 1U);
  EXPECT_THAT(complaints[0], HasSubstr("object.ring.gz"));
  std::filesystem::remove(server.conf / "object.ring.gz");
  EXPECT_EQ(file->Current()->part_shift(), 26U);
  server.WriteRing({.part_shift = 20});
  EXPECT_EQ(file->Current()->part_shift(), 20U);
}

TEST(RingFile, MustBeGoodAtTheStart) {
  const ObjectServer server;
  server.Write(server.conf / "object.ring.gz", Gzip("R1NG"));
  const auto opened = RingFile::Open(server.conf / "object.ring.gz", {});
  EXPECT_THAT(opened.error().message, HasSubstr("object.ring.gz: not a ring"));
  EXPECT_EQ(RingFile::Open(server.conf / "none.ring.gz", {}).error().code, ErrorCode::kNotFound);
}

}  // namespace
}  // namespace zerocloud::swift
