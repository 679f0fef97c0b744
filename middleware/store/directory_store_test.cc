// The storage layer: names on disk, scans, leftovers, the lock, full disks, concurrent use.
#include "middleware/store/directory_store.h"

#include <sys/mount.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <fstream>
#include <random>
#include <thread>

#include "middleware/http/target.h"
#include "middleware/store/testing/fixture.h"
#include "middleware/store/testing/names.h"

namespace zerocloud::store {
namespace {

std::string Lines(const std::vector<std::string>& names) {
  std::string text;
  for (const std::string& name : names) text += name + "\n";
  return text;
}

class DirectoryStoreTest : public StoreTest {
 protected:
  std::string ListAll() { return Get("/c?format=json"); }
};

TEST_F(DirectoryStoreTest, AnyNameIsKeptListedInByteOrderAndFoundAgain) {
  std::mt19937_64 random(7);
  std::vector<std::string> names = {"a", "a/b", "a/", "/", "//", ".", "..", "../..", "%", "\n"};
  for (int i = 0; i < 150; ++i) names.push_back(RandomObjectName(random));
  std::ranges::sort(names);
  const auto [begin, end] = std::ranges::unique(names);
  names.erase(begin, end);
  Do("PUT", "/c");
  for (const std::string& name : names) {
    ASSERT_EQ(Put("/c/" + http::PercentEncode(name), name).status, 201) << name;
  }
  for (const std::string& name : names) {
    ASSERT_EQ(Get("/c/" + http::PercentEncode(name)), name);
  }
  EXPECT_EQ(Get("/c"), Lines(names));
  const std::string all = ListAll();
  Stop();
  std::filesystem::remove(Dir() / ".zerocloud/index.sqlite");
  Start();
  EXPECT_TRUE(store_->scan_report().index_was_rebuilt);
  EXPECT_EQ(store_->scan_report().indexed, names.size());
  EXPECT_EQ(ListAll(), all);
  Restart();
  EXPECT_EQ(store_->scan_report().indexed, 0U);
  for (const std::string& name : names) {
    ASSERT_EQ(Do("DELETE", "/c/" + http::PercentEncode(name)).status, 204) << name;
  }
  EXPECT_EQ(Do("DELETE", "/c").status, 204);
  EXPECT_TRUE(std::filesystem::is_empty(Dir() / ".zerocloud/meta"));
}

TEST_F(DirectoryStoreTest, ContainersOfAnyNameAreFoundAgain) {
  for (const char* name : {"%2E", "%2E%2E", "%2Ezerocloud", "c%25", "%0A", "a b"}) {
    ASSERT_EQ(Do("PUT", std::string("/") + name).status, 201) << name;
    ASSERT_EQ(Put(std::string("/") + name + "/o", "x").status, 201) << name;
  }
  const std::string long_name = std::string(241, 'x');
  ASSERT_EQ(Do("PUT", "/" + long_name).status, 201);
  ASSERT_EQ(Put("/" + long_name + "/o", "x").status, 201);
  ASSERT_EQ(Do("PUT", "/" + long_name + "y").status, 201);
  const std::string all = Get("?format=json");
  Stop();
  std::filesystem::remove(Dir() / ".zerocloud/index.sqlite");
  Start();
  EXPECT_EQ(Get("?format=json"), all);
  EXPECT_EQ(Do("DELETE", "/" + long_name + "/o").status, 204);
  EXPECT_EQ(Do("DELETE", "/" + long_name).status, 204);
  EXPECT_EQ(Do("HEAD", "/" + long_name + "y").status, 204);
}

TEST_F(DirectoryStoreTest, ADamagedIndexIsMadeAnew) {
  Do("PUT", "/c");
  Put("/c/o", "hello", {{"X-Object-Meta-A", "b"}});
  const std::string all = ListAll();
  Stop();
  std::ofstream(Dir() / ".zerocloud/index.sqlite") << std::string(10'000, 'x');
  Start();
  EXPECT_TRUE(store_->scan_report().index_was_rebuilt);
  EXPECT_EQ(ListAll(), all);
  EXPECT_EQ(Do("HEAD", "/c/o").Header("X-Object-Meta-A"), "b");
}

TEST_F(DirectoryStoreTest, TheScanSeesWhatChangedWhileNobodyServed) {
  Do("PUT", "/c");
  Put("/c/gone", "x");
  Put("/c/edited", "x");
  Put("/c/kept", "x");
  Do("PUT", "/d");
  Stop();
  std::filesystem::remove(Dir() / "AUTH_test/c/gone");
  std::ofstream(Dir() / "AUTH_test/c/edited") << "hello";
  std::ofstream(Dir() / "AUTH_test/c/new.txt") << "hello";
  std::ofstream(Dir() / "AUTH_test/c/not%an%object") << "?";
  std::filesystem::create_directories(Dir() / "AUTH_test/e");
  std::ofstream(Dir() / "AUTH_test/e/o") << "x";
  std::filesystem::remove(Dir() / "AUTH_test/d");
  std::ofstream(Dir() / ".zerocloud/tmp/77") << "cut";
  std::ofstream(Dir() / ".zerocloud/meta/AUTH_test/c/orphan") << "{}";
  Start();
  const ScanReport& report = store_->scan_report();
  EXPECT_EQ(report.containers, 2U);
  EXPECT_EQ(report.objects, 4U);
  EXPECT_EQ(report.indexed, 3U);
  EXPECT_EQ(report.unindexed, 1U);
  EXPECT_EQ(report.ignored, 1U);
  // tmp/77, meta's "orphan" and "gone", and the meta folder of d.
  EXPECT_EQ(report.leftovers, 4U);
  EXPECT_EQ(Get(""), "c\ne\n");
  EXPECT_EQ(Get("/c"), "edited\nkept\nnew.txt\n");
  EXPECT_NE(ListAll().find("5d41402abc4b2a76b9719d911017c592"), std::string::npos);
  EXPECT_EQ(Do("GET", "/c/edited").Header("Etag"), "5d41402abc4b2a76b9719d911017c592");
  EXPECT_EQ(Do("GET", "/c/gone").status, 404);
  EXPECT_EQ(Leftovers().size(), 0U);
  EXPECT_FALSE(std::filesystem::exists(Dir() / ".zerocloud/meta/AUTH_test/c/orphan"));
}

TEST_F(DirectoryStoreTest, ADamagedSidecarCostsMetadataNotBytes) {
  Do("PUT", "/c");
  Put("/c/o", "hello", {{"X-Object-Meta-A", "b"}});
  std::ofstream(Dir() / ".zerocloud/meta/AUTH_test/c/o") << "{\"format\":1,";
  const Answer get = Do("GET", "/c/o");
  EXPECT_EQ(get.status, 200);
  EXPECT_EQ(get.body, "hello");
  EXPECT_EQ(get.Header("Etag"), "5d41402abc4b2a76b9719d911017c592");
}

TEST_F(DirectoryStoreTest, ASecondOwnerIsRefused) {
  const auto second = DirectoryStore::Open(options_);
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().code, ErrorCode::kConflict);
  EXPECT_NE(second.error().message.find("pid " + std::to_string(getpid())), std::string::npos);
}

TEST_F(DirectoryStoreTest, TimestampsGrowThoughTheClockDoesNot) {
  Do("PUT", "/c");
  Put("/c/o", "a");
  const std::string first = Do("HEAD", "/c/o").Header("X-Timestamp");
  now_ns_ -= 3'600'000'000'000;
  Put("/c/o", "b");
  EXPECT_GT(Do("HEAD", "/c/o").Header("X-Timestamp"), first);
  Restart();
  const std::string second = Do("HEAD", "/c/o").Header("X-Timestamp");
  Put("/c/o", "c");
  EXPECT_GT(Do("HEAD", "/c/o").Header("X-Timestamp"), second);
}

TEST_F(DirectoryStoreTest, AContainerWithForeignFilesIsNotDeleted) {
  Do("PUT", "/c");
  std::ofstream(Dir() / "AUTH_test/c/not%an%object") << "precious";
  EXPECT_EQ(Do("DELETE", "/c").status, 409);
  EXPECT_TRUE(std::filesystem::exists(Dir() / "AUTH_test/c/not%an%object"));
}

TEST_F(DirectoryStoreTest, AFolderInTheWayIsAnErrorAndNothingIsLost) {
  Do("PUT", "/c");
  std::filesystem::create_directories(Dir() / "AUTH_test/c/o/inside");
  EXPECT_EQ(Put("/c/o", "x").status, 409);
  EXPECT_TRUE(std::filesystem::exists(Dir() / "AUTH_test/c/o/inside"));
  EXPECT_EQ(Leftovers().size(), 0U);
}

TEST_F(DirectoryStoreTest, AFullDiskIs507AndTheOldObjectStays) {
  Stop();
  if (::mount("tmpfs", Dir().c_str(), "tmpfs", 0, "size=2m") != 0) {
    GTEST_SKIP() << "mounting a small tmpfs needs root";
  }
  Start();
  ASSERT_EQ(Do("PUT", "/c").status, 201);
  ASSERT_EQ(Put("/c/o", "old", {{"X-Object-Meta-A", "b"}}).status, 201);
  EXPECT_EQ(Put("/c/o", std::string(4 << 20, 'x')).status, 507);
  EXPECT_EQ(Leftovers().size(), 0U);
  // Fill it to the last byte with something else: nothing can be committed then.
  std::ofstream filler(Dir() / "filler", std::ios::binary);
  while (filler.write("xxxxxxxx", 8).flush()) {
  }
  EXPECT_EQ(Put("/c/o", "new").status, 507);
  EXPECT_EQ(Do("POST", "/c/o", {{"X-Object-Meta-A", "c"}}).status, 507);
  EXPECT_EQ(Do("PUT", "/d").status, 507);
  const Answer get = Do("GET", "/c/o");
  EXPECT_EQ(get.body, "old");
  EXPECT_EQ(get.Header("X-Object-Meta-A"), "b");
  EXPECT_EQ(Leftovers().size(), 0U);
  filler.close();
  std::filesystem::remove(Dir() / "filler");
  EXPECT_EQ(Put("/c/o", "new").status, 201);
  EXPECT_EQ(Get("/c"), "o\n");
  Stop();
  EXPECT_EQ(::umount2(Dir().c_str(), MNT_DETACH), 0);
}

// Bytes, ETag and metadata of one version always belong together, whatever runs at once.
TEST_F(DirectoryStoreTest, ReadersNeverSeeAMixture) {
  Do("PUT", "/c");
  std::atomic<bool> is_over = false;
  std::atomic<int> reads = 0;
  const auto write = [&](int seed) {
    std::mt19937_64 random(static_cast<std::uint64_t>(seed));
    for (int i = 0; i < 150; ++i) {
      const std::string target = "/c/d/" + std::to_string(random() % 3);
      if (random() % 4 == 0) {
        Do("DELETE", target);
        continue;
      }
      const std::string version = std::to_string(random() % 1000);
      EXPECT_EQ(Put(target, "version " + version, {{"X-Object-Meta-Version", version}}).status,
                201);
    }
  };
  const auto read = [&] {
    while (!is_over) {
      for (int i = 0; i < 3; ++i) {
        const Answer get = Do("GET", "/c/d/" + std::to_string(i));
        if (get.status == 404) continue;
        ++reads;
        ASSERT_EQ(get.status, 200) << get.body;
        ASSERT_EQ(get.body, "version " + get.Header("X-Object-Meta-Version"));
        digest::Md5 md5;
        md5.Add(get.body);
        ASSERT_EQ(get.Header("Etag"), md5.Hex());
      }
      ASSERT_LE(Do("HEAD", "/c").Header("X-Container-Object-Count"), "3");
    }
  };
  std::thread reader(read);
  std::thread first(write, 1);
  std::thread second(write, 2);
  first.join();
  second.join();
  is_over = true;
  reader.join();
  EXPECT_GT(reads, 0);
  const std::string all = ListAll();
  Stop();
  std::filesystem::remove(Dir() / ".zerocloud/index.sqlite");
  Start();
  EXPECT_EQ(ListAll(), all);
}

}  // namespace
}  // namespace zerocloud::store
