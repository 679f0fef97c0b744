#include "channels/base/result.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mman.h>

#include <set>
#include <string_view>

#include "channels/base/unique_fd.h"

namespace zerocloud {
namespace {

constexpr int kCodes = static_cast<int>(ErrorCode::kInternal) + 1;

TEST(ErrorCode, HasANameOfItsOwnForEveryValue) {
  std::set<std::string_view> names;
  for (int k = 0; k < kCodes; ++k) names.insert(ToString(static_cast<ErrorCode>(k)));
  EXPECT_EQ(names.size(), static_cast<std::size_t>(kCodes));
  EXPECT_TRUE(names.contains("rejected_code"));
  EXPECT_EQ(ToString(ErrorCode::kLimitExceeded), "limit_exceeded");
}

TEST(Result, HandsOnAnErrorUnchanged) {
  const Result<int> first = Fail(ErrorCode::kConflict, "exists");
  ASSERT_FALSE(first);
  const Result<std::string> second = Fail(first);
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error(), (Error{ErrorCode::kConflict, "exists"}));
  const Result<int> value = Result<int>::Base(42);
  EXPECT_EQ(value.value(), 42);
}

TEST(Result, TellsByErrnoWhoMustAct) {
  EXPECT_EQ(ErrnoError("x", ENOENT).code, ErrorCode::kNotFound);
  EXPECT_EQ(ErrnoError("x", EACCES).code, ErrorCode::kForbidden);
  EXPECT_EQ(ErrnoError("x", EPERM).code, ErrorCode::kForbidden);
  EXPECT_EQ(ErrnoError("x", EEXIST).code, ErrorCode::kConflict);
  EXPECT_EQ(ErrnoError("x", ENOTEMPTY).code, ErrorCode::kConflict);
  for (const int err : {ENOSPC, EDQUOT, EMFILE, ENFILE, ENOMEM, EAGAIN})
    EXPECT_EQ(ErrnoError("x", err).code, ErrorCode::kUnavailable) << err;
  EXPECT_EQ(ErrnoError("x", EIO).code, ErrorCode::kInternal);
  const Result<int> failed = FailErrno("cannot open it", ENOENT);
  EXPECT_EQ(failed.error().message, "cannot open it: No such file or directory");
}

TEST(UniqueFd, ClosesWhatItOwnsOnce) {
  const int number = ::memfd_create("result_test", MFD_CLOEXEC);
  ASSERT_GE(number, 0);
  {
    UniqueFd first(number);
    UniqueFd second = std::move(first);
    EXPECT_TRUE(second.is_open());
    EXPECT_EQ(second.get(), number);
    EXPECT_NE(::fcntl(number, F_GETFD), -1);
  }
  EXPECT_EQ(::fcntl(number, F_GETFD), -1);
}

TEST(UniqueFd, LetsGoOfWhatItReleases) {
  UniqueFd first(::memfd_create("result_test", MFD_CLOEXEC));
  const UniqueFd second(first.Release());
  EXPECT_FALSE(first.is_open());
  first.Reset();
  EXPECT_NE(::fcntl(second.get(), F_GETFD), -1);
}

}  // namespace
}  // namespace zerocloud
