// A process that writes is killed at moments of chance; what it leaves is old or new, never torn.
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <csignal>
#include <ctime>
#include <random>
#include <thread>

#include "middleware/store/testing/fixture.h"

namespace zerocloud::store {
namespace {

constexpr int kWriters = 2;
constexpr int kObjects = 6;
constexpr int kRounds = 12;
constexpr int kDeleted = 0;

// What the child is about, in memory that outlives it. A version names bytes and metadata; a POST
// is a version of its own over the same bytes.
struct Intent {
  std::atomic<int> done_bytes = kDeleted;
  std::atomic<int> done_meta = kDeleted;
  std::atomic<int> next_bytes = kDeleted;
  std::atomic<int> next_meta = kDeleted;
};
struct Shared {
  std::atomic<int> operations = 0;
  Intent intents[kWriters][kObjects];
};

std::string NameOf(int writer, int object) {
  // Writers share folders, so that one makes what the other prunes.
  return "d/" + std::to_string(object % 2) + "/" + std::to_string(writer) + "-" +
         std::to_string(object);
}

std::string BytesOf(int version) {
  std::string bytes = "version " + std::to_string(version) + "\n";
  bytes.append(static_cast<std::size_t>(version) * 7919 % 50'000, 'x');
  return bytes;
}

void Write(DirectoryStore& store, Shared& shared, int writer, std::uint64_t seed) {
  std::mt19937_64 random(seed);
  for (int version = 1 + static_cast<int>(random() % 1'000'000);; ++version) {
    const int object = static_cast<int>(random() % kObjects);
    Intent& intent = shared.intents[writer][object];
    const ObjectPath path{"AUTH_test", "c", NameOf(writer, object)};
    const int what = static_cast<int>(random() % 5);
    const bool is_there = intent.done_bytes != kDeleted;
    if (what == 0 && is_there) {
      intent.next_bytes = kDeleted;
      intent.next_meta = kDeleted;
      if (!store.DeleteObject(path)) std::_Exit(2);
    } else if (what == 1 && is_there) {
      intent.next_bytes = intent.done_bytes.load();
      intent.next_meta = version;
      const auto changed = store.ChangeObject(path, [&](ObjectDescription& kept) -> Result<void> {
        kept.metadata = {{"Version", std::to_string(version)}};
        return {};
      });
      if (!changed) std::_Exit(3);
    } else {
      intent.next_bytes = version;
      intent.next_meta = version;
      const std::string bytes = BytesOf(version);
      auto upload = store.BeginUpload();
      if (!upload || !(*upload)->Write(std::as_bytes(std::span(bytes.data(), bytes.size())))) {
        std::_Exit(4);
      }
      DirectoryStore::NewDescription description;
      description.content_type = "text/plain";
      description.metadata = {{"Version", std::to_string(version)}};
      if (!store.Commit(*std::move(upload), path, description)) std::_Exit(5);
    }
    intent.done_bytes = intent.next_bytes.load();
    intent.done_meta = intent.next_meta.load();
    ++shared.operations;
  }
}

[[noreturn]] void RunChild(StoreOptions options, Shared& shared, std::uint64_t seed) {
  options.clock = SystemWallClock();
  auto store = DirectoryStore::Open(options);
  if (!store) std::_Exit(6);
  std::vector<std::thread> writers;
  writers.reserve(kWriters);
  for (int writer = 0; writer < kWriters; ++writer) {
    writers.emplace_back(
        [&, writer] { Write(**store, shared, writer, seed + static_cast<std::uint64_t>(writer)); });
  }
  for (std::thread& writer : writers) writer.join();
  std::_Exit(0);
}

class CrashTest : public StoreTest {
 protected:
  void CheckObject(int writer, int object, Intent& intent) {
    const std::string name = NameOf(writer, object);
    const Answer get = Do("GET", "/c/" + name);
    if (get.status == 404) {
      EXPECT_TRUE(intent.done_bytes == kDeleted || intent.next_bytes == kDeleted) << name;
      intent.done_bytes = intent.done_meta = kDeleted;
      return;
    }
    ASSERT_EQ(get.status, 200) << get.body;
    ASSERT_TRUE(get.headers.Has("X-Object-Meta-Version")) << name << " lost its metadata";
    const int meta = std::stoi(get.Header("X-Object-Meta-Version"));
    const bool is_old = meta == intent.done_meta;
    EXPECT_TRUE(is_old || meta == intent.next_meta) << name;
    const int version = is_old ? intent.done_bytes : intent.next_bytes;
    EXPECT_EQ(get.body, BytesOf(version)) << name;
    digest::Md5 md5;
    md5.Add(get.body);
    const std::string etag = md5.Hex();
    EXPECT_EQ(get.Header("Etag"), etag) << name;
    EXPECT_NE(listing_.find("{\"bytes\":" + std::to_string(get.body.size()) + ",\"hash\":\"" +
                            etag + "\",\"name\":\"" + name + "\""),
              std::string::npos)
        << name << " in " << listing_;
    intent.done_bytes = version;
    intent.done_meta = meta;
    ++present_;
  }

  std::string listing_;
  int present_ = 0;
};

TEST_F(CrashTest, KilledAtAnyMomentObjectsAreOldOrNew) {
  Do("PUT", "/c");
  Stop();
  void* memory =
      ::mmap(nullptr, sizeof(Shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  ASSERT_NE(memory, MAP_FAILED);
  auto& shared = *new (memory) Shared;
  std::mt19937_64 random(std::random_device{}());
  for (int round = 0; round < kRounds; ++round) {
    shared.operations = 0;
    const std::uint64_t seed = random();
    const int stop_at = 5 + static_cast<int>(random() % 60);
    const pid_t child = ::fork();
    ASSERT_GE(child, 0);
    if (child == 0) RunChild(options_, shared, seed);
    int status = 0;
    while (shared.operations < stop_at && ::waitpid(child, &status, WNOHANG) == 0) {
      std::this_thread::yield();
    }
    // A little later than an operation's end, by chance.
    for (std::uint64_t spin = random() % 200'000; spin > 0; --spin) {
      std::atomic_signal_fence(std::memory_order_seq_cst);
    }
    ::kill(child, SIGKILL);
    ASSERT_EQ(::waitpid(child, &status, 0), child);
    ASSERT_TRUE(WIFSIGNALED(status)) << "child exited with " << WEXITSTATUS(status);

    Start();
    EXPECT_EQ(Leftovers().size(), 0U);
    listing_ = Get("/c?format=json");
    present_ = 0;
    for (int writer = 0; writer < kWriters; ++writer) {
      for (int object = 0; object < kObjects; ++object) {
        CheckObject(writer, object, shared.intents[writer][object]);
      }
    }
    EXPECT_EQ(Do("HEAD", "/c").Header("X-Container-Object-Count"), std::to_string(present_));
    // No sidecar without an object: one each, and the container's.
    int sidecars = 0;
    for (const auto& entry :
         std::filesystem::recursive_directory_iterator(Dir() / ".zerocloud/meta/AUTH_test/c")) {
      sidecars += entry.is_regular_file() ? 1 : 0;
    }
    EXPECT_EQ(sidecars, present_ + 1);
    Stop();
    if (HasFailure()) break;
  }
  ::munmap(memory, sizeof(Shared));
}

}  // namespace
}  // namespace zerocloud::store
