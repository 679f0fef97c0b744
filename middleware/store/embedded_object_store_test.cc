#include "middleware/store/embedded_object_store.h"

#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>

#include "middleware/store/testing/fixture.h"

namespace zerocloud::store {
namespace {

class EmbeddedStore : public StoreTest {
 protected:
  void SetUp() override {
    StoreTest::SetUp();
    Do("PUT", "/c");
    objects_ = std::make_unique<EmbeddedObjectStore>(*store_, *authenticator_);
    owner_ = {"AUTH_test", "test:tester", token_};
  }

  static UniqueFd FileWith(const std::string& bytes) {
    UniqueFd file(::memfd_create("output", MFD_CLOEXEC));
    EXPECT_EQ(::pwrite(file.get(), bytes.data(), bytes.size(), 0),
              static_cast<ssize_t>(bytes.size()));
    return file;
  }

  std::unique_ptr<EmbeddedObjectStore> objects_;
  Caller owner_;
};

TEST_F(EmbeddedStore, PutIsSeenByClientsAndJobs) {
  const UniqueFd file = FileWith("hello world");
  const auto put =
      objects_->Put(owner_, {{"AUTH_test", "c", "o"}, "a/b", {{"color", "red"}}}, file.get(), 5);
  ASSERT_TRUE(put) << put.error().message;
  EXPECT_EQ(put->etag, "5d41402abc4b2a76b9719d911017c592");
  const Answer get = Do("GET", "/c/o");
  EXPECT_EQ(get.body, "hello");
  EXPECT_EQ(get.Header("Content-Type"), "a/b");
  EXPECT_EQ(get.Header("X-Object-Meta-Color"), "red");
  const auto opened = objects_->Open(owner_, {"AUTH_test", "c", "o"});
  ASSERT_TRUE(opened);
  EXPECT_EQ(opened->info.size, 5U);
  EXPECT_EQ(opened->info.metadata.at("Color"), "red");
  std::string bytes(5, ' ');
  EXPECT_EQ(::pread(opened->file.get(), bytes.data(), 5, 0), 5);
  EXPECT_EQ(bytes, "hello");
}

TEST_F(EmbeddedStore, AnOpenedObjectOutlivesItsReplacement) {
  Put("/c/o", "hello");
  const auto opened = objects_->Open(owner_, {"AUTH_test", "c", "o"});
  Put("/c/o", "other bytes");
  Do("DELETE", "/c/o");
  std::string bytes(5, ' ');
  EXPECT_EQ(::pread(opened->file.get(), bytes.data(), 5, 0), 5);
  EXPECT_EQ(bytes, "hello");
}

TEST_F(EmbeddedStore, HostileFieldsAreRefused) {
  const UniqueFd file = FileWith("x");
  const ObjectPath path{"AUTH_test", "c", "o"};
  EXPECT_EQ(objects_->Put(owner_, {path, "a\r\nb: c", {}}, file.get(), 1).error().code,
            ErrorCode::kInvalid);
  EXPECT_EQ(objects_->Put(owner_, {path, "a/b", {{"n", "\xff"}}}, file.get(), 1).error().code,
            ErrorCode::kInvalid);
  EXPECT_EQ(objects_->Put(owner_, {path, "a/b", {{"n: x", "y"}}}, file.get(), 1).error().code,
            ErrorCode::kInvalid);
  EXPECT_EQ(objects_->Put(owner_, {path, "a/b", {{"n", std::string(50'000, 'x')}}}, file.get(), 1)
                .error()
                .code,
            ErrorCode::kInvalid);
  EXPECT_FALSE(objects_->Put(owner_, {path, "a/b", {}}, file.get(), 2)) << "shorter than promised";
  EXPECT_EQ(Do("GET", "/c/o").status, 404);
  EXPECT_EQ(Leftovers().size(), 0U);
}

TEST_F(EmbeddedStore, RightsAreThoseOfTheMoment) {
  Put("/c/o", "hello");
  const Caller plain{"AUTH_test", "test:plain", Token("test:plain", "testing3")};
  const ObjectPath path{"AUTH_test", "c", "o"};
  EXPECT_EQ(objects_->Head(plain, path).error().code, ErrorCode::kForbidden);
  Do("POST", "/c", {{"X-Container-Read", "test:plain"}});
  EXPECT_TRUE(objects_->Head(plain, path));
  EXPECT_EQ(objects_->CheckWritable(plain, path).error().code, ErrorCode::kForbidden);
  Do("POST", "/c", {{"X-Container-Read", ""}});
  EXPECT_EQ(objects_->Open(plain, path).error().code, ErrorCode::kForbidden);
  EXPECT_EQ(objects_->ListContainers(plain, "AUTH_test", "", 10).error().code,
            ErrorCode::kForbidden);
  Do("POST", "/c", {{"X-Container-Read", ".r:*"}});
  EXPECT_TRUE(objects_->Open(Caller{}, path));
  now_ns_ += 90'000'000'000'000;
  EXPECT_EQ(objects_->Open(owner_, path).error().code, ErrorCode::kForbidden);
}

TEST_F(EmbeddedStore, ListsAllNamesUpToTheLimit) {
  for (int i = 0; i < 12; ++i) Put("/c/p" + std::to_string(i), "x");
  Put("/c/q", "x");
  const auto names = objects_->ListObjects(owner_, "AUTH_test", "c", "p", 12);
  ASSERT_TRUE(names);
  EXPECT_EQ(names->size(), 12U);
  EXPECT_TRUE(std::ranges::is_sorted(*names, {}, &ListedObject::name));
  EXPECT_EQ(names->front().info.size, 1U);
  const auto more = objects_->ListObjects(owner_, "AUTH_test", "c", "p", 11);
  EXPECT_EQ(more.error().code, ErrorCode::kLimitExceeded);
  EXPECT_EQ(objects_->ListObjects(owner_, "AUTH_test", "none", "", 5).error().code,
            ErrorCode::kNotFound);
  EXPECT_EQ(objects_->ListContainers(owner_, "AUTH_test", "", 5).value(),
            std::vector<std::string>{"c"});
}

TEST_F(EmbeddedStore, WritableMeansThatTheContainerIsThere) {
  EXPECT_TRUE(objects_->CheckWritable(owner_, {"AUTH_test", "c", "new"}));
  EXPECT_EQ(objects_->CheckWritable(owner_, {"AUTH_test", "none", "new"}).error().code,
            ErrorCode::kNotFound);
}

}  // namespace
}  // namespace zerocloud::store
