#include "middleware/store/description.h"

#include <gtest/gtest.h>

namespace zerocloud::store {
namespace {

ObjectDescription Example() {
  ObjectDescription description;
  description.size = 5;
  description.mtime_ns = 1'700'000'000'000'010'000;
  description.inode = UINT64_MAX;
  description.timestamp = {170'000'000'000'001};
  description.etag = "5d41402abc4b2a76b9719d911017c592";
  description.content_type = "text/plain; charset=\"utf-8\"";
  description.delete_at = 1'800'000'000;
  description.headers = {{"Content-Encoding", "gzip"}};
  description.metadata = {{"Color", "r\xc3\xb6t \" \\ \t"}, {"Empty", ""}};
  return description;
}

TEST(Sidecar, WhatIsWrittenIsReadBack) {
  ObjectDescription second = Example();
  second.delete_at.reset();
  second.metadata.clear();
  const std::vector<ObjectDescription> both = {Example(), second};
  EXPECT_EQ(ParseSidecar(WriteSidecar(both)).value(), both);
  const FolderDescription folder{{1}, {2}, {{"X-Container-Meta-A", "b"}}};
  EXPECT_EQ(ParseFolderSidecar(WriteFolderSidecar(folder)).value(), folder);
}

TEST(Sidecar, TheDescriptionIsTheOneThatFitsTheFile) {
  ObjectDescription old = Example();
  ObjectDescription fresh = Example();
  fresh.mtime_ns += 10'000;
  fresh.etag = std::string(32, 'f');
  const std::vector<ObjectDescription> both = {old, fresh};
  EXPECT_EQ(FindDescription(both, 5, old.mtime_ns, 1)->etag, old.etag);
  EXPECT_EQ(FindDescription(both, 5, fresh.mtime_ns, 1)->etag, fresh.etag);
  EXPECT_EQ(FindDescription(both, 6, fresh.mtime_ns, 1), nullptr);
  EXPECT_EQ(FindDescription(both, 5, fresh.mtime_ns + 1, 1), nullptr);
}

TEST(Sidecar, TheInodeDecidesWhereTimesAreCoarse) {
  ObjectDescription old = Example();
  old.inode = 1;
  ObjectDescription fresh = Example();
  fresh.inode = 2;
  fresh.etag = std::string(32, 'f');
  const std::vector<ObjectDescription> both = {old, fresh};
  EXPECT_EQ(FindDescription(both, 5, old.mtime_ns, 2)->etag, fresh.etag);
  EXPECT_EQ(FindDescription(both, 5, old.mtime_ns, 1)->etag, old.etag);
}

TEST(Sidecar, DamageIsAnErrorNeverMore) {
  const std::string good = WriteSidecar({Example()});
  for (std::size_t cut = 0; cut + 1 < good.size(); ++cut) {
    EXPECT_FALSE(ParseSidecar(good.substr(0, cut))) << cut;
  }
  for (const char* bad :
       {"", "null", "[]", "{}", "{\"format\":2,\"descriptions\":[]}", "{\"format\":1}",
        "{\"format\":1,\"descriptions\":[{}]}", "{\"format\":1,\"descriptions\":[1]}",
        "{\"format\":1.5,\"descriptions\":[]}"}) {
    EXPECT_FALSE(ParseSidecar(bad)) << bad;
  }
  EXPECT_FALSE(ParseSidecar(std::string(100'000, '[')));
  EXPECT_FALSE(ParseSidecar(std::string(kMaxSidecar + 1, ' ')));
  EXPECT_FALSE(ParseSidecar(WriteSidecar(std::vector(5, Example()))));
}

TEST(ContentType, IsGuessedByTheEnding) {
  EXPECT_EQ(GuessContentType("a/b.TXT"), "text/plain");
  EXPECT_EQ(GuessContentType("a.b/c"), "application/octet-stream");
  EXPECT_EQ(GuessContentType("noending"), "application/octet-stream");
}

}  // namespace
}  // namespace zerocloud::store
