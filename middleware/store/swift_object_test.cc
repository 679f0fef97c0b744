// Objects through the API: bytes, metadata, ranges, conditions, limits, copies.
#include <sys/resource.h>

#include <csignal>
#include <fstream>

#include "middleware/store/testing/fixture.h"

namespace zerocloud::store {
namespace {

constexpr const char* kHelloEtag = "5d41402abc4b2a76b9719d911017c592";  // of "hello"

class SwiftObject : public StoreTest {
 protected:
  void SetUp() override {
    StoreTest::SetUp();
    ASSERT_EQ(Do("PUT", "/c").status, 201);
  }
};

TEST_F(SwiftObject, IsGivenBackAsItWasPut) {
  const Answer put = Put("/c/o.txt", "hello");
  EXPECT_EQ(put.status, 201);
  EXPECT_EQ(put.Header("Etag"), kHelloEtag);
  EXPECT_EQ(put.Header("X-Trans-Id"), "tx0123");
  EXPECT_EQ(put.Header("Last-Modified"), "Tue, 14 Nov 2023 22:13:21 GMT");
  const Answer get = Do("GET", "/c/o.txt");
  EXPECT_EQ(get.status, 200);
  EXPECT_EQ(get.body, "hello");
  EXPECT_EQ(get.Header("Etag"), kHelloEtag);
  EXPECT_EQ(get.Header("Content-Type"), "text/plain");
  EXPECT_EQ(get.Header("Accept-Ranges"), "bytes");
  EXPECT_EQ(get.Header("X-Timestamp").substr(0, 13), "1700000000.00");
  const Answer head = Do("HEAD", "/c/o.txt");
  EXPECT_EQ(head.status, 200);
  EXPECT_EQ(head.body, "");
  EXPECT_EQ(head.Header("Content-Length"), "5");
  EXPECT_EQ(Leftovers().size(), 0U);
}

TEST_F(SwiftObject, LiesInAFileOfItsName) {
  Put("/c/logs/x.txt", "hello");
  std::ifstream file(Dir() / "AUTH_test/c/logs%/x.txt");
  EXPECT_EQ(std::string(std::istreambuf_iterator<char>(file), {}), "hello");
}

TEST_F(SwiftObject, EmptyAndChunkedBodiesAreBodies) {
  EXPECT_EQ(Put("/c/empty", "").status, 201);
  EXPECT_EQ(Do("HEAD", "/c/empty").Header("Content-Length"), "0");
  EXPECT_EQ(Do("PUT", "/c/chunked", {}, {"hello", true, {}}).status, 201);
  EXPECT_EQ(Get("/c/chunked"), "hello");
}

TEST_F(SwiftObject, APutWithoutLengthIsRefused) {
  EXPECT_EQ(Do("PUT", "/c/o").status, 411);
  EXPECT_EQ(Do("GET", "/c/o").status, 404);
}

TEST_F(SwiftObject, ACutUploadStoresNothing) {
  Put("/c/o", "old");
  EXPECT_EQ(Do("PUT", "/c/o", {}, {"half", false, 1000}).status, 499);
  EXPECT_EQ(Get("/c/o"), "old");
  // The client is gone: the exchange is destroyed without Finish().
  {
    http::RequestHead head;
    head.method = "PUT";
    head.target = "/v1/AUTH_test/c/o";
    head.headers.Add("X-Auth-Token", token_);
    head.content_length = 1000;
    auto begun = api_->Begin(head);
    auto& exchange = std::get<std::unique_ptr<http::Exchange>>(begun);
    const std::string bytes = "half";
    EXPECT_TRUE(exchange->Write(std::as_bytes(std::span(bytes.data(), bytes.size()))));
    EXPECT_EQ(Leftovers().size(), 1U);
  }
  EXPECT_EQ(Leftovers().size(), 0U);
  EXPECT_EQ(Get("/c/o"), "old");
}

TEST_F(SwiftObject, AWrongEtagIsRefusedAndARightOneTaken) {
  EXPECT_EQ(Put("/c/o", "hello", {{"ETag", kHelloEtag}}).status, 201);
  EXPECT_EQ(Put("/c/p", "hello", {{"ETag", "\"5D41402ABC4B2A76B9719D911017C592\""}}).status, 201);
  const Answer wrong = Put("/c/o", "other", {{"ETag", kHelloEtag}});
  EXPECT_EQ(wrong.status, 422);
  EXPECT_EQ(Get("/c/o"), "hello");
  EXPECT_EQ(Leftovers().size(), 0U);
}

TEST_F(SwiftObject, IfNoneMatchStarCreatesOnly) {
  EXPECT_EQ(Put("/c/o", "hello", {{"If-None-Match", "*"}}).status, 201);
  EXPECT_EQ(Put("/c/o", "other", {{"If-None-Match", "*"}}).status, 412);
  EXPECT_EQ(Put("/c/o", "other", {{"If-None-Match", "\"abc\""}}).status, 400);
  EXPECT_EQ(Get("/c/o"), "hello");
}

TEST_F(SwiftObject, NeedsItsContainer) {
  EXPECT_EQ(Put("/none/o", "hello").status, 404);
  EXPECT_EQ(Do("GET", "/none/o").status, 404);
  EXPECT_EQ(Do("DELETE", "/none/o").status, 404);
}

TEST_F(SwiftObject, IsReplacedAsAWhole) {
  Put("/c/o", "first version", {{"X-Object-Meta-Color", "red"}, {"Content-Type", "a/b"}});
  Put("/c/o", "hello", {{"X-Object-Meta-Size", "big"}});
  const Answer get = Do("GET", "/c/o");
  EXPECT_EQ(get.body, "hello");
  EXPECT_EQ(get.Header("Etag"), kHelloEtag);
  EXPECT_EQ(get.Header("Content-Type"), "application/octet-stream");
  EXPECT_EQ(get.Header("X-Object-Meta-Color"), "<absent>");
  EXPECT_EQ(get.Header("X-Object-Meta-Size"), "big");
}

TEST_F(SwiftObject, PostReplacesAllMetadataAndKeepsBytes) {
  Put("/c/o", "hello",
      {{"X-Object-Meta-Color", "red"}, {"Content-Type", "a/b"}, {"Content-Encoding", "gzip"}});
  now_ns_ += 5'000'000'000;
  EXPECT_EQ(Do("POST", "/c/o", {{"X-Object-Meta-Shape", "round"}}).status, 202);
  const Answer get = Do("GET", "/c/o");
  EXPECT_EQ(get.body, "hello");
  EXPECT_EQ(get.Header("Content-Type"), "a/b");
  EXPECT_EQ(get.Header("X-Object-Meta-Color"), "<absent>");
  EXPECT_EQ(get.Header("Content-Encoding"), "<absent>");
  EXPECT_EQ(get.Header("X-Object-Meta-Shape"), "round");
  EXPECT_EQ(get.Header("X-Timestamp").substr(0, 10), "1700000005");
  EXPECT_EQ(Do("POST", "/c/none", {{"X-Object-Meta-A", "b"}}).status, 404);
}

TEST_F(SwiftObject, DeleteRemovesFileSidecarAndEmptyFolders) {
  Put("/c/a/b/o", "hello");
  EXPECT_EQ(Do("DELETE", "/c/a/b/o").status, 204);
  EXPECT_EQ(Do("DELETE", "/c/a/b/o").status, 404);
  EXPECT_EQ(Do("GET", "/c/a/b/o").status, 404);
  EXPECT_FALSE(std::filesystem::exists(Dir() / "AUTH_test/c/a%"));
  EXPECT_FALSE(std::filesystem::exists(Dir() / ".zerocloud/meta/AUTH_test/c/a%"));
  EXPECT_TRUE(std::filesystem::exists(Dir() / "AUTH_test/c"));
}

TEST_F(SwiftObject, MetadataLimitsAreSwifts) {
  const auto put = [&](const HeaderList& headers) { return Put("/c/o", "x", headers).status; };
  EXPECT_EQ(put({{"X-Object-Meta-" + std::string(128, 'n'), std::string(256, 'v')}}), 201);
  EXPECT_EQ(put({{"X-Object-Meta-" + std::string(129, 'n'), "v"}}), 400);
  EXPECT_EQ(put({{"X-Object-Meta-N", std::string(257, 'v')}}), 400);
  EXPECT_EQ(put({{"X-Object-Meta-", "v"}}), 400);
  EXPECT_EQ(put({{"X-Object-Meta-N", "\xff"}}), 400);
  HeaderList many;
  for (int i = 0; i < 90; ++i) many.emplace_back("X-Object-Meta-N" + std::to_string(i), "v");
  EXPECT_EQ(put(many), 201);
  many.emplace_back("X-Object-Meta-One-More", "v");
  EXPECT_EQ(put(many), 400);
  HeaderList large;
  for (int i = 0; i < 17; ++i) {
    large.emplace_back("X-Object-Meta-N" + std::to_string(i), std::string(250, 'v'));
  }
  EXPECT_EQ(put(large), 400);
}

TEST_F(SwiftObject, MetadataNamesHaveOneSpelling) {
  Put("/c/o", "x", {{"x-object-meta-MY-color", "a"}});
  EXPECT_EQ(Do("HEAD", "/c/o").Header("X-Object-Meta-My-Color"), "a");
}

TEST_F(SwiftObject, KeptHeadersComeBack) {
  Put("/c/o", "x",
      {{"Content-Encoding", "gzip"},
       {"Content-Disposition", "attachment; filename=\"\xc3\xa4.txt\""},
       {"Content-Type", "text/x; charset=utf-8"}});
  const Answer get = Do("GET", "/c/o");
  EXPECT_EQ(get.Header("Content-Encoding"), "gzip");
  EXPECT_EQ(get.Header("Content-Disposition"), "attachment; filename=\"\xc3\xa4.txt\"");
  EXPECT_EQ(get.Header("Content-Type"), "text/x; charset=utf-8");
}

TEST_F(SwiftObject, LineBreaksInFieldsAreRefused) {
  EXPECT_EQ(Put("/c/o", "x", {{"X-Object-Meta-A", "b\r\nX-Evil: 1"}}).status, 400);
  EXPECT_EQ(Do("GET", "/c/o").status, 404);
}

TEST_F(SwiftObject, RangesGiveParts) {
  Put("/c/o", "0123456789", {{"Content-Type", "a/b"}});
  const auto ranged = [&](const std::string& range) {
    return Do("GET", "/c/o", {{"Range", range}});
  };
  Answer answer = ranged("bytes=2-4");
  EXPECT_EQ(answer.status, 206);
  EXPECT_EQ(answer.body, "234");
  EXPECT_EQ(answer.Header("Content-Range"), "bytes 2-4/10");
  EXPECT_EQ(ranged("bytes=-3").body, "789");
  EXPECT_EQ(ranged("bytes=7-").body, "789");
  answer = ranged("bytes=10-");
  EXPECT_EQ(answer.status, 416);
  EXPECT_EQ(answer.Header("Content-Range"), "bytes */10");
  EXPECT_EQ(ranged("bytes=x").status, 200);
  // A HEAD is about the whole.
  EXPECT_EQ(Do("HEAD", "/c/o", {{"Range", "bytes=2-4"}}).status, 200);
}

TEST_F(SwiftObject, SeveralRangesAreMultipart) {
  Put("/c/o", "0123456789", {{"Content-Type", "a/b"}});
  const Answer answer = Do("GET", "/c/o", {{"Range", "bytes=0-1,8-"}});
  EXPECT_EQ(answer.status, 206);
  const std::string type = answer.Header("Content-Type");
  ASSERT_TRUE(type.starts_with("multipart/byteranges; boundary=")) << type;
  const std::string boundary = type.substr(type.find('=') + 1);
  EXPECT_EQ(answer.body,
            "--" + boundary +
                "\r\nContent-Type: a/b\r\nContent-Range: bytes 0-1/10\r\n\r\n01\r\n--" + boundary +
                "\r\nContent-Type: a/b\r\nContent-Range: bytes 8-9/10\r\n\r\n89\r\n--" + boundary +
                "--\r\n");
}

TEST_F(SwiftObject, ConditionsDecide) {
  Put("/c/o", "hello");
  const std::string quoted = std::string("\"") + kHelloEtag + "\"";
  EXPECT_EQ(Do("GET", "/c/o", {{"If-Match", quoted}}).status, 200);
  EXPECT_EQ(Do("GET", "/c/o", {{"If-Match", "\"x\""}}).status, 412);
  const Answer unchanged = Do("GET", "/c/o", {{"If-None-Match", quoted}});
  EXPECT_EQ(unchanged.status, 304);
  EXPECT_EQ(unchanged.body, "");
  EXPECT_EQ(unchanged.Header("Etag"), kHelloEtag);
  const std::string same = Do("HEAD", "/c/o").Header("Last-Modified");
  EXPECT_EQ(Do("HEAD", "/c/o", {{"If-Modified-Since", same}}).status, 304);
  EXPECT_EQ(Do("HEAD", "/c/o", {{"If-Unmodified-Since", same}}).status, 200);
  EXPECT_EQ(Do("GET", "/c/o", {{"If-Unmodified-Since", "Mon, 01 Jan 2001 00:00:00 GMT"}}).status,
            412);
  EXPECT_EQ(Do("GET", "/c/o", {{"Range", "bytes=0-0"}, {"If-Range", "\"x\""}}).status, 200);
  EXPECT_EQ(Do("GET", "/c/o", {{"Range", "bytes=0-0"}, {"If-Range", quoted}}).status, 206);
}

TEST_F(SwiftObject, CopiesCarryBytesTypeAndMetadata) {
  Put("/c/o", "hello", {{"X-Object-Meta-Color", "red"}, {"Content-Type", "a/b"}});
  Do("PUT", "/d");
  const Answer put = Put("/d/p", "", {{"X-Copy-From", "/c/o"}, {"X-Object-Meta-Shape", "round"}});
  EXPECT_EQ(put.status, 201);
  EXPECT_EQ(put.Header("X-Copied-From"), "c/o");
  Answer get = Do("GET", "/d/p");
  EXPECT_EQ(get.body, "hello");
  EXPECT_EQ(get.Header("Content-Type"), "a/b");
  EXPECT_EQ(get.Header("X-Object-Meta-Color"), "red");
  EXPECT_EQ(get.Header("X-Object-Meta-Shape"), "round");
  EXPECT_EQ(Do("COPY", "/d/p", {{"Destination", "c/x%20y"}, {"X-Fresh-Metadata", "true"}}).status,
            201);
  get = Do("GET", "/c/x%20y");
  EXPECT_EQ(get.body, "hello");
  EXPECT_EQ(get.Header("X-Object-Meta-Color"), "<absent>");
  EXPECT_EQ(Put("/d/p", "", {{"X-Copy-From", "/c/none"}}).status, 404);
  EXPECT_EQ(Put("/d/p", "", {{"X-Copy-From", "c"}}).status, 412);
  EXPECT_EQ(Do("COPY", "/d/p").status, 412);
  // Onto itself.
  EXPECT_EQ(Do("COPY", "/d/p", {{"Destination", "d/p"}}).status, 201);
  EXPECT_EQ(Get("/d/p"), "hello");
}

TEST_F(SwiftObject, TooLargeIsRefusedBeforeAndWhileItComes) {
  Stop();
  options_.max_object_size = 100;
  Start();
  EXPECT_EQ(Do("PUT", "/c/o", {}, {std::string(50, 'x'), false, 101}).status, 413);
  const Answer chunked = Do("PUT", "/c/o", {}, {std::string(101, 'x'), true, {}});
  EXPECT_EQ(chunked.status, 413);
  EXPECT_NE(chunked.body.find("100"), std::string::npos);
  EXPECT_EQ(Put("/c/o", std::string(100, 'x')).status, 201);
  EXPECT_EQ(Leftovers().size(), 0U);
}

TEST_F(SwiftObject, WhatIsNotSupportedIsRefusedNotIgnored) {
  EXPECT_EQ(Put("/c/o", "", {{"X-Object-Manifest", "c/p"}}).status, 400);
  EXPECT_EQ(Put("/c/o?multipart-manifest=put", "[]").status, 400);
  EXPECT_EQ(Put("/c/o", "", {{"X-Symlink-Target", "c/p"}}).status, 400);
  EXPECT_EQ(Do("GET", "/c/o").status, 404);
  EXPECT_EQ(Do("LICK", "/c/o").status, 405);
  EXPECT_EQ(Do("LICK", "/c/o").Header("Allow"), "GET, HEAD, PUT, POST, DELETE, COPY, OPTIONS");
}

TEST_F(SwiftObject, ExpiresWhenItsTimeHasCome) {
  EXPECT_EQ(Put("/c/past", "x", {{"X-Delete-At", "1"}}).status, 400);
  EXPECT_EQ(Put("/c/bad", "x", {{"X-Delete-After", "soon"}}).status, 400);
  EXPECT_EQ(Put("/c/o", "hello", {{"X-Delete-After", "60"}}).status, 201);
  EXPECT_EQ(Do("HEAD", "/c/o").Header("X-Delete-At"), "1700000060");
  EXPECT_EQ(Get("/c"), "o\n");
  now_ns_ += 60'000'000'000;
  EXPECT_EQ(Do("GET", "/c/o").status, 404);
  EXPECT_EQ(Do("POST", "/c/o").status, 404);
  EXPECT_EQ(Do("GET", "/c").body, "");
  EXPECT_EQ(Do("HEAD", "/c").Header("X-Container-Object-Count"), "0");
  EXPECT_FALSE(std::filesystem::exists(Dir() / "AUTH_test/c/o"));
  EXPECT_EQ(Do("DELETE", "/c").status, 204);
}

TEST_F(SwiftObject, NamesAreRefusedOnlyForNulUtf8AndLength) {
  EXPECT_EQ(Put("/c/%00", "x").status, 412);
  EXPECT_EQ(Put("/c/%ff", "x").status, 412);
  EXPECT_EQ(Put("/c/" + std::string(1025, 'x'), "x").status, 400);
  EXPECT_EQ(Put("/c/" + std::string(1024, 'x'), "x").status, 201);
  EXPECT_EQ(Do("PUT", "/" + std::string(257, 'x')).status, 400);
  EXPECT_EQ(Do("PUT", "/" + std::string(256, 'x')).status, 201);
}

TEST_F(SwiftObject, AFileSizeLimitIsAnErrorAndTheOldObjectStays) {
  Put("/c/o", "old");
  const auto old_handler = std::signal(SIGXFSZ, SIG_IGN);
  rlimit old_limit{};
  ASSERT_EQ(getrlimit(RLIMIT_FSIZE, &old_limit), 0);
  // Enough for the index, too little for the object.
  const rlimit limit{1 << 20, old_limit.rlim_max};
  ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &limit), 0);
  const Answer put = Put("/c/o", std::string(2 << 20, 'x'));
  ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &old_limit), 0);
  std::signal(SIGXFSZ, old_handler);
  EXPECT_EQ(put.status, 413);
  EXPECT_EQ(Get("/c/o"), "old");
  EXPECT_EQ(Leftovers().size(), 0U);
}

TEST_F(SwiftObject, AFileDroppedInIsServedWithItsMd5) {
  std::ofstream(Dir() / "AUTH_test/c/by-hand.txt") << "hello";
  const Answer get = Do("GET", "/c/by-hand.txt");
  EXPECT_EQ(get.body, "hello");
  EXPECT_EQ(get.Header("Etag"), kHelloEtag);
  EXPECT_EQ(get.Header("Content-Type"), "text/plain");
  EXPECT_EQ(Get("/c"), "by-hand.txt\n");
  // Edited by hand: the old description fits no more.
  Put("/c/o", "first", {{"X-Object-Meta-A", "b"}});
  std::ofstream(Dir() / "AUTH_test/c/o") << "hello";
  EXPECT_EQ(Do("GET", "/c/o").Header("Etag"), kHelloEtag);
  EXPECT_EQ(Do("POST", "/c/o", {{"X-Object-Meta-A", "c"}}).status, 202);
  EXPECT_EQ(Do("HEAD", "/c/o").Header("X-Object-Meta-A"), "c");
}

TEST_F(SwiftObject, SymbolicLinksAndOddFilesAreNotFollowed) {
  std::ofstream(Dir() / "secret") << "secret";
  std::filesystem::create_symlink(Dir() / "secret", Dir() / "AUTH_test/c/link");
  EXPECT_EQ(Do("GET", "/c/link").status, 403);
  std::filesystem::create_directory_symlink("/etc", Dir() / "AUTH_test/c/etc%");
  EXPECT_EQ(Do("GET", "/c/etc/passwd").status, 403);
  EXPECT_NE(Put("/c/etc/passwd", "x").status, 201);
  std::filesystem::create_directory_symlink("/", Dir() / "AUTH_test/root");
  EXPECT_NE(Do("GET", "/root/etc").status, 200);
  ASSERT_EQ(mkfifo((Dir() / "AUTH_test/c/fifo").c_str(), 0600), 0);
  EXPECT_EQ(Do("GET", "/c/fifo").status, 404);
}

}  // namespace
}  // namespace zerocloud::store
