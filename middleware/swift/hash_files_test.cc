#include "middleware/swift/hash_files.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace zerocloud::swift {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

Result<HashFiles> Choose(const std::vector<std::string>& names) { return ChooseFiles(names); }

TEST(HashFiles, TheNewestDataIsTheObject) {
  const HashFiles files = Choose({".", "..", "1700000000.00001.data", "1700000001.00000.data",
                                  "1699999999.99999.data", ".lock"})
                              .value();
  EXPECT_EQ(files.data, "1700000001.00000.data");
  EXPECT_EQ(files.time.ToString(), "1700000001.00000");
  EXPECT_THAT(files.metas, IsEmpty());
}

TEST(HashFiles, ATombstoneHidesWhatIsNotNewer) {
  EXPECT_EQ(Choose({"1700000000.00001.data", "1700000000.00002.ts"}).error().code,
            ErrorCode::kNotFound);
  EXPECT_EQ(Choose({"1700000000.00001.data", "1700000000.00001.ts"}).error().code,
            ErrorCode::kNotFound);
  EXPECT_TRUE(Choose({"1700000000.00002.data", "1700000000.00001.ts"}).has_value());
  EXPECT_EQ(Choose({"1700000000.00002.ts"}).error().code, ErrorCode::kNotFound);
  EXPECT_EQ(Choose({}).error().code, ErrorCode::kNotFound);
}

TEST(HashFiles, OnlyNewerMetadataCounts) {
  const HashFiles files =
      Choose({"1700000000.00001.data", "1700000000.00000.meta", "1700000002.00000.meta",
              "1700000003.00000-33c4.meta", "1700000003.00000_0000000000000001+0.meta"})
          .value();
  EXPECT_THAT(files.metas, ElementsAre("1700000002.00000.meta", "1700000003.00000-33c4.meta",
                                       "1700000003.00000_0000000000000001+0.meta"));
}

TEST(HashFiles, FragmentsAndMovedObjectsAreNotWholeOnes) {
  EXPECT_THAT(Choose({"1700000000.00001#2#d.data"}).error().message, HasSubstr("erasure"));
  EXPECT_THAT(Choose({"1700000000.00001#2.data", "1700000000.00001.durable"}).error().message,
              HasSubstr("erasure"));
  EXPECT_THAT(Choose({"1700000000.00001_0000000000000001.data"}).error().message,
              HasSubstr("moved"));
}

TEST(HashFiles, WhatIsNoneOfSwiftsIsNotLookedAt) {
  EXPECT_EQ(Choose({"x.data", "1700000000.0001.data", "17000000000.00001.data", ".data",
                    "1700000000.00001data", "1700000000.00001_00.data", "1700000000.00001x.data",
                    "-700000000.00001.data", "1700000000.00001.DATA"})
                .error()
                .code,
            ErrorCode::kNotFound);
}

}  // namespace
}  // namespace zerocloud::swift
