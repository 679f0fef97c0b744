#include "middleware/swift/local_object_store.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

#include "middleware/swift/testing/object_server.h"

namespace zerocloud::swift {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

// What Swift answers, and a list of what it was asked.
class FakeSwift : public store::ObjectStore {
 public:
  store::ObjectInfo info;
  std::optional<Error> refusal;
  std::vector<std::string> asked;

  Result<store::ObjectInfo> Head(const store::Caller& caller, const store::ObjectPath&) override {
    asked.push_back("HEAD as " + caller.token);
    if (refusal) return std::unexpected(*refusal);
    return info;
  }
  Result<store::OpenedObject> Open(const store::Caller& caller, const store::ObjectPath&) override {
    asked.push_back("GET as " + caller.token);
    if (refusal) return std::unexpected(*refusal);
    store::OpenedObject opened;
    opened.file.Reset(::memfd_create("object", MFD_CLOEXEC));
    EXPECT_EQ(::pwrite(opened.file.get(), "by HTTP", 7, 0), 7);
    return opened;
  }
  Result<std::vector<std::string>> ListContainers(const store::Caller&, const std::string&,
                                                  const std::string&, std::size_t) override {
    return std::vector<std::string>{"c"};
  }
  Result<std::vector<store::ListedObject>> ListObjects(const store::Caller&, const std::string&,
                                                       const std::string&, const std::string&,
                                                       std::size_t) override {
    return std::vector<store::ListedObject>{{"o", info, std::chrono::steady_clock::now()}};
  }
  Result<void> CheckWritable(const store::Caller&, const store::ObjectPath&) override {
    return Fail(ErrorCode::kForbidden, "no");
  }
  Result<store::ObjectInfo> Put(const store::Caller&, const store::NewObject&, int,
                                std::uint64_t) override {
    return info;
  }
};

class LocalObjectStoreTest : public testing::Test {
 protected:
  void SetUp() override {
    if (!server_.HasAttributes()) GTEST_SKIP() << "no extended attributes here";
    auto opened = server_.Open();
    ASSERT_TRUE(opened.has_value()) << opened.error().message;
    local_ = std::move(*opened);
    store_ = std::make_unique<LocalObjectStore>(swift_, *local_, std::chrono::minutes(1));
    swift_.info = server_.Put(path_, "in place");
  }
  [[nodiscard]] store::ListedObject Listed(std::chrono::seconds age = {}) const {
    return {"o", swift_.info, std::chrono::steady_clock::now() - age};
  }
  Result<store::OpenedObject> OpenListed(const store::ListedObject& listed) {
    return store_->OpenInput(caller_, path_, {.listed = &listed});
  }
  static std::string Bytes(const Result<store::OpenedObject>& opened) {
    return opened ? ReadAll(opened->file) : opened.error().message;
  }

  const store::ObjectPath path_{"AUTH_test", "c", "o"};
  const store::Caller caller_{"AUTH_test", "", "token"};
  ObjectServer server_;
  FakeSwift swift_;
  std::unique_ptr<LocalObjects> local_;
  std::unique_ptr<LocalObjectStore> store_;
};

TEST_F(LocalObjectStoreTest, AsksSwiftAsTheCallerAndOpensInPlace) {
  const auto opened = store_->Open(caller_, path_);
  EXPECT_EQ(Bytes(opened), "in place");
  EXPECT_TRUE(opened->is_in_place);
  EXPECT_EQ(opened->info.etag, swift_.info.etag);
  EXPECT_THAT(swift_.asked, ElementsAre("HEAD as token"));
}

TEST_F(LocalObjectStoreTest, OpensNothingThatSwiftRefuses) {
  for (const ErrorCode code :
       {ErrorCode::kForbidden, ErrorCode::kNotFound, ErrorCode::kUnavailable}) {
    swift_.refusal = Error{code, "so says Swift"};
    const auto opened = store_->Open(caller_, path_);
    ASSERT_FALSE(opened.has_value());
    EXPECT_EQ(opened.error().code, code);
  }
}

TEST_F(LocalObjectStoreTest, AListingVouchesForAWhileAndThenNotAnyMore) {
  EXPECT_EQ(Bytes(OpenListed(Listed())), "in place");
  EXPECT_TRUE(swift_.asked.empty());
  EXPECT_EQ(Bytes(OpenListed(Listed(std::chrono::seconds(61)))), "in place");
  EXPECT_THAT(swift_.asked, ElementsAre("HEAD as token"));
  swift_.refusal = Error{ErrorCode::kForbidden, "not any more"};
  EXPECT_EQ(Bytes(OpenListed(Listed(std::chrono::seconds(61)))), "not any more");
}

TEST_F(LocalObjectStoreTest, AListingNeverVouchesWhereItMust) {
  LocalObjectStore strict(swift_, *local_, std::chrono::seconds(0));
  const store::ListedObject listed = Listed(std::chrono::seconds(1));
  EXPECT_EQ(Bytes(strict.OpenInput(caller_, path_, {.listed = &listed})), "in place");
  EXPECT_THAT(swift_.asked, ElementsAre("HEAD as token"));
}

TEST_F(LocalObjectStoreTest, AnythingElseIsReadAsTheCallerAndSaysWhy) {
  swift_.info = server_.Put(path_, "x", {{"X-Object-Manifest", "c/s"}});
  const auto opened = store_->Open(caller_, path_);
  EXPECT_EQ(Bytes(opened), "by HTTP");
  EXPECT_FALSE(opened->is_in_place);
  EXPECT_THAT(opened->why_not, HasSubstr("segments"));
  EXPECT_THAT(swift_.asked, ElementsAre("HEAD as token", "GET as token"));
}

TEST_F(LocalObjectStoreTest, AListingThatIsOutOfDateLeadsToARead) {
  store::ListedObject listed = Listed();
  server_.Put(path_, "newer", {}, "1700000090.00000");
  const auto opened = OpenListed(listed);
  EXPECT_EQ(Bytes(opened), "by HTTP");
  EXPECT_THAT(opened->why_not, HasSubstr("another version"));
  EXPECT_THAT(swift_.asked, ElementsAre("GET as token"));
}

TEST_F(LocalObjectStoreTest, WhatIsElsewhereCostsOneRequest) {
  server_.WriteRing({.devices = R"([{"device": "d1", "ip": "10.9.9.9"}])"});
  const auto opened = store_->Open(caller_, path_);
  EXPECT_EQ(Bytes(opened), "by HTTP");
  EXPECT_THAT(opened->why_not, HasSubstr("other hosts"));
  EXPECT_THAT(swift_.asked, ElementsAre("GET as token"));
}

TEST_F(LocalObjectStoreTest, AHandoffIsFoundWithoutARequestOrNotAtAll) {
  server_.WriteRing({.devices = R"([{"device": "d9", "ip": "10.9.9.9"},
                                    {"device": "d1", "ip": "127.0.0.1"}])"});
  EXPECT_EQ(Bytes(OpenListed(Listed())), "in place");
  EXPECT_TRUE(swift_.asked.empty());
  const auto opened = store_->Open(caller_, path_);
  EXPECT_EQ(Bytes(opened), "by HTTP");
  EXPECT_THAT(opened->why_not, HasSubstr("other hosts"));
  EXPECT_THAT(swift_.asked, ElementsAre("GET as token"));
}

TEST_F(LocalObjectStoreTest, TheRestIsSwiftsAffair) {
  EXPECT_EQ(store_->ListContainers(caller_, "AUTH_test", "", 5).value(),
            std::vector<std::string>{"c"});
  EXPECT_EQ(store_->ListObjects(caller_, "AUTH_test", "c", "", 5).value().size(), 1U);
  EXPECT_EQ(store_->CheckWritable(caller_, path_).error().code, ErrorCode::kForbidden);
  EXPECT_TRUE(store_->Put(caller_, {path_, "", {}}, -1, 0).has_value());
  EXPECT_TRUE(store_->Head(caller_, path_).has_value());
}

}  // namespace
}  // namespace zerocloud::swift
