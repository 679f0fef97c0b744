// Files as an object server leaves them, good and bad, in a directory of the test's own.
#include "middleware/swift/local_objects.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/xattr.h>

#include <fstream>

#include "middleware/swift/testing/object_server.h"

namespace zerocloud::swift {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

class LocalObjectsTest : public testing::Test {
 protected:
  void SetUp() override {
    if (!server_.HasAttributes()) GTEST_SKIP() << "no extended attributes here";
  }
  LocalObjects& local() {
    if (local_ == nullptr) {
      auto opened = server_.Open();
      EXPECT_TRUE(opened.has_value()) << opened.error().message;
      local_ = std::move(*opened);
    }
    return *local_;
  }
  Result<UniqueFd> Find(const store::ObjectInfo& said) {
    const auto places = local().Locate({}, path_);
    if (!places) return Fail(places);
    return local().Find(*places, path_, said);
  }
  std::string Found(const store::ObjectInfo& said) {
    const Result<UniqueFd> file = Find(said);
    return file ? "found: " + ReadAll(*file) : file.error().message;
  }
  [[nodiscard]] std::filesystem::path Data(const store::ObjectInfo& said) const {
    return server_.HashDir(path_) / (said.last_modified + ".data");
  }

  const store::ObjectPath path_{"AUTH_test", "c", "dir/o \xC3\xA4"};
  ObjectServer server_;
  std::unique_ptr<LocalObjects> local_;
};

TEST_F(LocalObjectsTest, APlainObjectIsOpenedReadOnly) {
  for (const std::string& body : {std::string(), std::string("hello"), std::string(300'000, 'x')}) {
    const store::ObjectInfo said = server_.Put(path_, body);
    const Result<UniqueFd> file = Find(said);
    ASSERT_TRUE(file.has_value()) << file.error().message;
    EXPECT_EQ(ReadAll(*file), body);
    EXPECT_EQ(::fcntl(file->get(), F_GETFL) & (O_ACCMODE | O_NONBLOCK), O_RDONLY);
    EXPECT_NE(::fcntl(file->get(), F_GETFD) & FD_CLOEXEC, 0);
  }
}

TEST_F(LocalObjectsTest, AReplicaOnAHandoffIsFoundWhereThePrimaryHasNone) {
  const store::ObjectInfo said = server_.Put(path_, "handed off");
  server_.WriteRing({.devices = R"([{"device": "d2", "ip": "127.0.0.1"},
                                    {"device": "d1", "ip": "127.0.0.1"}])"});
  EXPECT_EQ(local().Locate({}, path_)->primary.size(), 1U);
  EXPECT_EQ(Found(said), "found: handed off");
  store::ObjectInfo other = said;
  other.etag = Md5Hex("other");
  EXPECT_THAT(Found(other), HasSubstr("another version"));
  // Another host's device is none, even if one here has its name.
  server_.WriteRing({.devices = R"([{"device": "d2", "ip": "127.0.0.1"},
                                    {"device": "d1", "ip": "10.9.9.9"}])"});
  EXPECT_THAT(Found(said), HasSubstr("no replica"));
}

TEST_F(LocalObjectsTest, WhatSwiftToldOtherwiseIsAnotherVersion) {
  const store::ObjectInfo said = server_.Put(path_, "hello");
  store::ObjectInfo other = said;
  other.etag = Md5Hex("other");
  EXPECT_THAT(Found(other), HasSubstr("another version"));
  other = said;
  other.size = 4;
  EXPECT_THAT(Found(other), HasSubstr("another version"));
  for (const char* time : {"1700000000.12346", "1700000000.12344", "", "now"}) {
    other = said;
    other.last_modified = time;
    EXPECT_THAT(Found(other), HasSubstr("another version")) << time;
  }
  other = said;
  other.etag.clear();
  EXPECT_THAT(Found(other), HasSubstr("another version"));
  EXPECT_EQ(Found(said), "found: hello");
}

TEST_F(LocalObjectsTest, AnOpenOneStaysAsItWasWhenOverwrittenOrDeleted) {
  const store::ObjectInfo said = server_.Put(path_, "old bytes");
  const Result<UniqueFd> file = Find(said);
  ASSERT_TRUE(file.has_value()) << file.error().message;
  const store::ObjectInfo later = server_.Put(path_, "new", {}, "1700000050.00000");
  std::filesystem::remove(Data(said));
  EXPECT_EQ(ReadAll(*file), "old bytes");
  EXPECT_THAT(Found(said), HasSubstr("another version"));
  EXPECT_EQ(Found(later), "found: new");
  server_.Write(server_.HashDir(path_) / "1700000060.00000.ts", "");
  EXPECT_THAT(Found(later), HasSubstr("deleted"));
}

TEST_F(LocalObjectsTest, APostLeavesTheBytesAndMayChangeTheTime) {
  const store::ObjectInfo said = server_.Put(path_, "hello");
  server_.PutFile(path_, "1700000070.00000.meta", "",
                  {{"X-Timestamp", "1700000070.00000"}, {"name", path_.ToString()}});
  EXPECT_EQ(Found(said), "found: hello");
  store::ObjectInfo posted = said;
  posted.last_modified = "1700000070.00000";
  EXPECT_EQ(Found(posted), "found: hello");
}

TEST_F(LocalObjectsTest, APostCanMakeItALargeObjectOrLetItExpire) {
  const store::ObjectInfo said = server_.Put(path_, "hello");
  const std::string name = "1700000070.00000.meta";
  server_.PutFile(path_, name, "",
                  {{"X-Timestamp", "1700000070.00000"}, {"X-Object-Manifest", "c/seg"}});
  EXPECT_THAT(Found(said), HasSubstr("segments"));
  server_.PutFile(path_, name, "",
                  {{"X-Timestamp", "1700000070.00000"}, {"X-Delete-At", "1700000099"}});
  EXPECT_THAT(Found(said), HasSubstr("expired"));
  server_.now_ns -= 10'000'000'000;
  EXPECT_EQ(Found(said), "found: hello");
  server_.Write(server_.HashDir(path_) / name, "");
  EXPECT_THAT(Found(said), HasSubstr("no attribute"));
}

TEST_F(LocalObjectsTest, ObjectsOfOtherKindsAreNotTaken) {
  for (const char* key : {"X-Static-Large-Object", "X-Object-Manifest",
                          "X-Object-Sysmeta-Symlink-Target", "X-Object-Sysmeta-Crypto-Body-Meta"}) {
    const store::ObjectInfo said = server_.Put(path_, "hello", {{key, "True"}});
    EXPECT_THAT(Found(said), Not(HasSubstr("found"))) << key;
  }
}

TEST_F(LocalObjectsTest, AFragmentIsNoObject) {
  const store::ObjectInfo said = server_.Put(path_, "hello");
  std::filesystem::rename(Data(said), server_.HashDir(path_) / "1700000000.12345#0#d.data");
  EXPECT_THAT(Found(said), HasSubstr("erasure"));
}

TEST_F(LocalObjectsTest, AFileThatIsNotAsLongAsItsMetadataIsRefused) {
  const store::ObjectInfo said = server_.Put(path_, "hello");
  std::filesystem::resize_file(Data(said), 4);
  EXPECT_THAT(Found(said), HasSubstr("not as long"));
  std::filesystem::resize_file(Data(said), 6);
  EXPECT_THAT(Found(said), HasSubstr("not as long"));
}

TEST_F(LocalObjectsTest, AFileOfAnotherNameIsRefused) {
  EXPECT_THAT(Found(server_.Put(path_, "secret", {{"name", "/AUTH_other/c/o"}})),
              HasSubstr("another object"));
  EXPECT_THAT(Found(server_.Put(path_, "hello", {{"X-Timestamp", "1700000000.12346"}})),
              HasSubstr("another timestamp"));
  EXPECT_THAT(Found(server_.Put(path_, "hello", {{"Content-Length", "-5"}})),
              HasSubstr("not as long"));
}

TEST_F(LocalObjectsTest, AttributesThatAreMissingOrNoPickleAreRefused) {
  const store::ObjectInfo said = server_.Put(path_, "hello");
  SetMetadata(Data(said), "c_os\nsystem\n.");
  EXPECT_THAT(Found(said), HasSubstr("no pickle"));
  EXPECT_EQ(::removexattr(Data(said).c_str(), "user.swift.metadata"), 0);
  EXPECT_THAT(Found(said), HasSubstr("no attribute"));
}

TEST_F(LocalObjectsTest, SymbolicLinksAreNeverFollowed) {
  const store::ObjectInfo said = server_.Put(path_, "hello");
  const std::filesystem::path data = Data(said);
  std::filesystem::rename(data, server_.root / "elsewhere");
  std::filesystem::create_symlink(server_.root / "elsewhere", data);
  EXPECT_THAT(Found(said), HasSubstr("symbolic link"));
  std::filesystem::remove(data);
  std::filesystem::rename(server_.root / "elsewhere", data);
  ASSERT_EQ(Found(said), "found: hello");
  std::filesystem::rename(server_.devices / "d1", server_.root / "outside");
  std::filesystem::create_symlink(server_.root / "outside", server_.devices / "d1");
  EXPECT_THAT(Found(said), HasSubstr("symbolic link"));
  std::filesystem::remove(server_.devices / "d1");
  std::filesystem::rename(server_.root / "outside", server_.devices / "d2");
  std::filesystem::create_symlink("d2", server_.devices / "d1");
  EXPECT_THAT(Found(said), HasSubstr("symbolic link"));
}

TEST_F(LocalObjectsTest, NothingButARegularFileIsTakenAndNoOpenBlocks) {
  const store::ObjectInfo said = server_.Put(path_, "hello");
  std::filesystem::remove(Data(said));
  ASSERT_EQ(::mkfifo(Data(said).c_str(), 0600), 0);
  EXPECT_THAT(Found(said), HasSubstr("no regular file"));
  std::filesystem::remove(Data(said));
  std::filesystem::create_directory(Data(said));
  EXPECT_THAT(Found(said), HasSubstr("no regular file"));
}

TEST_F(LocalObjectsTest, AnotherHashSuffixFindsNothing) {
  const store::ObjectInfo said = server_.Put(path_, "hello");
  server_.Write(server_.conf / "swift.conf", "[swift-hash]\nswift_hash_path_suffix = wrong\n");
  EXPECT_THAT(Found(said), HasSubstr("no replica"));
}

TEST_F(LocalObjectsTest, EveryReplicatedPolicyIsLookedAt) {
  server_.Write(
      server_.conf / "swift.conf",
      "[swift-hash]\nswift_hash_path_suffix = tests\n[storage-policy:0]\n[storage-policy:1]\n"
      "policy_type = erasure_coding\n[storage-policy:2]\n");
  EXPECT_THAT(server_.Open().error().message, HasSubstr("object-2.ring.gz"));
  server_.WriteRing({}, 2);
  EXPECT_EQ(Found(server_.Put(path_, "second", {}, "1700000000.12345", 2)), "found: second");
}

TEST_F(LocalObjectsTest, WhatTheRingPlacesElsewhereIsNotLookedFor) {
  const store::ObjectInfo said = server_.Put(path_, "hello");
  server_.addresses = {"10.0.0.9"};
  EXPECT_TRUE(local().Locate({}, path_)->primary.empty());
  EXPECT_THAT(Found(said), HasSubstr("no replica"));
  server_.WriteRing({.devices = R"([{"device": "d1", "ip": "10.0.0.9"}])"});
  EXPECT_EQ(local().Locate({}, path_)->primary.size(), 1U);
  EXPECT_EQ(Found(said), "found: hello");
  server_.Write(server_.conf / "object.ring.gz", "broken");
  EXPECT_EQ(Found(said), "found: hello");
  EXPECT_EQ(server_.complaints.size(), 1U);
}

TEST_F(LocalObjectsTest, AReplicaThatIsStaleDoesNotHideAGoodOne) {
  server_.WriteRing(
      {.part_shift = 26,
       .devices = R"([{"device": "d0", "ip": "127.0.0.1"},
                                    {"device": "d1", "ip": "127.0.0.1"}])",
       .rows = {std::vector<std::uint16_t>(64, 0), std::vector<std::uint16_t>(64, 1)}});
  server_.Put(path_, "stale", {}, "1700000000.00001");
  std::filesystem::rename(server_.devices / "d1", server_.devices / "d0");
  const store::ObjectInfo said = server_.Put(path_, "fresh");
  EXPECT_EQ(Found(said), "found: fresh");
  std::filesystem::remove_all(server_.devices / "d1");
  EXPECT_THAT(Found(said), HasSubstr("another version"));
}

TEST_F(LocalObjectsTest, FilesThatMayNotBeReadAreAReasonNotAFailure) {
  const store::ObjectInfo said = server_.Put(path_, "hello");
  std::filesystem::permissions(Data(said), std::filesystem::perms::none);
  local();
  constexpr uid_t kNobody = 65'534;  // root may read everything
  const uid_t self = ::geteuid();
  if (self == 0) ASSERT_EQ(::seteuid(kNobody), 0);
  const std::string told = Found(said);
  if (self == 0) ASSERT_EQ(::seteuid(self), 0);
  EXPECT_THAT(told, HasSubstr("group"));
}

TEST_F(LocalObjectsTest, AWrongDirectoryIsToldAtTheStart) {
  std::filesystem::remove_all(server_.devices);
  EXPECT_THAT(server_.Open().error().message, HasSubstr("directory of devices"));
  std::filesystem::create_directories(server_.devices);
  std::filesystem::remove(server_.conf / "swift.conf");
  EXPECT_THAT(server_.Open().error().message, HasSubstr("swift.conf"));
  server_.Write(server_.conf / "swift.conf", "[swift-hash]\n");
  EXPECT_THAT(server_.Open().error().message, HasSubstr("neither"));
}

}  // namespace
}  // namespace zerocloud::swift
