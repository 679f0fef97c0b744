// The engine with real sessions: every test runs a verified guest in a process of its own.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <future>

#include "middleware/node/engine.h"
#include "middleware/node/testing/fake_store.h"
#include "middleware/node/testing/jobs.h"

namespace zerocloud::node {
namespace {

using testing::HasSubstr;

// The zygote, from which sessions are cloned, stays.
std::size_t CountChildren() {
  std::size_t count = 0;
  for (const auto& task : std::filesystem::directory_iterator("/proc/self/task")) {
    std::ifstream file(task.path() / "children");
    for (std::string pid; file >> pid;) {
      std::string name;
      std::getline(std::ifstream("/proc/" + pid + "/cmdline"), name, '\0');
      if (name != "zvm-starter") ++count;
    }
  }
  return count;
}

std::string G(std::string_view name, std::string_view args, std::string_view devices = "",
              std::string_view more = "") {
  return GroupOf("agent", name, args, devices, more);
}

class GuestEngineTest : public testing::Test {
 protected:
  GuestEngineTest() {
    std::string name = testing::TempDir() + "/engine-XXXXXX";
    directory_ = ::mkdtemp(name.data());
    config.spool_directory = directory_;
    config.slots = 4;
    std::ifstream file(ZEROCLOUD_GUEST_AGENT, std::ios::binary);
    store.objects["bin/agent"] = std::string(std::istreambuf_iterator<char>(file), {});
    store.objects["in/a"] = "one\n";
    store.objects["in/b"] = "two\n";
    store.objects["in/c"] = std::string(300'000, 'x') + "\n";
  }
  ~GuestEngineTest() override {
    engine.reset();
    EXPECT_EQ(CountChildren(), 0U);
    EXPECT_TRUE(std::filesystem::is_empty(directory_));
    std::filesystem::remove_all(directory_);
  }

  [[nodiscard]] JobRequest Request(const std::string& groups) const {
    return RequestOf(groups, config.limits);
  }
  void Start() {
    if (!engine) engine = std::move(Engine::Start(config, store, *runner).value());
  }
  JobResult Run(const std::string& groups) {
    const bool is_first = !engine;
    Start();
    const std::size_t before = CountDescriptors();
    std::promise<JobResult> promise;
    const std::unique_ptr<JobHandle> handle = engine->Submit(
        Request(groups), [&](JobResult ended) { promise.set_value(std::move(ended)); });
    JobResult result = promise.get_future().get();
    engine->WaitUntilIdle();
    body.assign(result.body_size, '\0');
    for (std::size_t done = 0; done < body.size();) {
      const std::span<char> rest = std::span(body).subspan(done);
      done += result.body->Read(std::as_writable_bytes(rest)).value();
    }
    result.body.reset();
    EXPECT_EQ(CountChildren(), 0U);
    EXPECT_EQ(engine->stats().spool_bytes, 0U);
    // The first job opens what stays: the program's memory file and the launcher.
    if (!is_first) {
      EXPECT_LE(CountDescriptors(), before);
    }
    return result;
  }
  void RunWell(const std::string& groups) {
    const JobResult result = Run(groups);
    EXPECT_FALSE(result.error.has_value()) << result.error.value_or(Error{}).message;
  }
  JobResult RunBadly(const std::string& groups, ErrorCode code, const std::string& message) {
    RunWell(G("warm", ""));
    JobResult result = Run(groups);
    if (!result.error) {
      ADD_FAILURE() << "the job succeeded";
      return result;
    }
    EXPECT_EQ(result.error.value_or(Error{}).code, code) << result.error.value_or(Error{}).message;
    EXPECT_THAT(result.error.value_or(Error{}).message, HasSubstr(message));
    return result;
  }

  EngineConfig config;
  FakeStore store;
  std::unique_ptr<Runner> runner = MakeSandboxRunner();
  std::unique_ptr<Engine> engine;
  std::string body;

 private:
  std::string directory_;
};

TEST_F(GuestEngineTest, MapsAndReducesOverStoredObjects) {
  for (int i = 0; i < 2; ++i) {
    RunWell(G("map", "upper", R"({"name": "stdin", "path": "swift://~/in/*"})",
              R"(, "connect": ["red"])") +
            "," + G("red", "cat", R"({"name": "stdout"})"));
    EXPECT_EQ(body, "ONE\nTWO\n" + std::string(300'000, 'X') + "\n");
  }
}

TEST_F(GuestEngineTest, ReadsInputAtRandomAndStoresOutputs) {
  const JobResult result = Run(G(
      "m", "cat put 3 def put 0 abc",
      R"({"name": "input", "path": "swift://~/in/*"}, {"name": "output", "path": "swift://~/out/*.o"},
               {"name": "stdout", "path": "swift://~/out/*.s"})"));
  ASSERT_FALSE(result.error.has_value()) << result.error.value_or(Error{}).message;
  EXPECT_EQ(store.objects.at("out/a.o"), "abcdef");
  EXPECT_EQ(store.objects.at("out/b.s"), "two\n");
  EXPECT_EQ(result.sessions[0].usage.disk_written_bytes, 10U);
}

TEST_F(GuestEngineTest, GangTalksBothWays) {
  config.slots = 1;
  RunWell(G("a", "out ping take 4", kStdout, R"(, "connect": ["b"])") + "," +
          G("b", "out pong take 4", kStdout, R"(, "count": 2, "connect": ["a"])"));
  EXPECT_EQ(body, "pongpongpingping");
}

TEST_F(GuestEngineTest, WriterSurvivesAReaderThatEndsFirst) {
  RunWell(G("reader", "", "", R"(, "connect": ["writer"])") + "," +
          G("writer", "cat name",
            R"({"name": "stdin", "path": "swift://~/in/c"}, {"name": "stdout"})",
            R"(, "connect": ["reader"])"));
}

TEST_F(GuestEngineTest, SessionsLearnWhoTheyAre) {
  RunWell(G("m", R"(name env LOCAL_PATH_INFO env SESSION_COUNT)",
            R"({"name": "stdin", "path": "swift://~/in/*"}, {"name": "stdout"})"));
  EXPECT_EQ(body, "m-1\n/AUTH_me/in/a\n3\nm-2\n/AUTH_me/in/b\n3\nm-3\n/AUTH_me/in/c\n3\n");
}

TEST_F(GuestEngineTest, ExitCodeAndStderrAreReported) {
  const JobResult result = RunBadly(G("a", R"(err \"oh no\" exit 3)"), ErrorCode::kGuestFault,
                                    "session a failed: exit code 3");
  EXPECT_EQ(result.sessions[0].stderr_tail, "oh no");
}

TEST_F(GuestEngineTest, FaultIsReportedWithItsFunction) {
  RunBadly(G("a", "fault"), ErrorCode::kGuestFault, "(fault_here");
}

TEST_F(GuestEngineTest, EndlessLoopEndsAtItsTimeout) {
  RunBadly(G("a", "loop", "", R"(, "timeout": 0.2)"), ErrorCode::kTimeout,
           "ran longer than its timeout of 200 ms");
}

TEST_F(GuestEngineTest, ProcessorTimeIsLimitedAndReported) {
  config.limits.cpu_seconds = 1;
  const JobResult result = RunBadly(
      G("a", "loop"), ErrorCode::kLimitExceeded,
      "session a failed: the session used more processor time than its limit of 1000000 us "
      "(cpu_seconds)");
  EXPECT_EQ(result.sessions[0].limit_hit, "cpu_seconds");
  EXPECT_GE(result.sessions[0].report.user_time + result.sessions[0].report.system_time,
            std::chrono::milliseconds(500));
}

TEST_F(GuestEngineTest, ResidentMemoryIsLimitedAndReported) {
  config.limits.resident_bytes = 20'000'000;
  RunWell(G("small", "fill 10000000"));
  const JobResult result = RunBadly(G("a", "fill 100000000"), ErrorCode::kLimitExceeded,
                                    "its limit of 20000000 bytes (resident_bytes)");
  EXPECT_EQ(result.sessions[0].limit_hit, "resident_bytes");
  if (!result.sessions[0].report.peak_memory) return;  // without a zygote
  EXPECT_GT(result.sessions[0].report.peak_memory.value_or(0), 20'000'000U);
}

// As far as the host allows it: then the session runs, or else it says why it does not.
TEST_F(GuestEngineTest, SessionsCanHaveNamespacesOfTheirOwn) {
  config.wants_own_namespaces = true;
  const JobResult result = Run(G("a", "name", kStdout));
  if (result.error) {
    EXPECT_THAT(result.error->message, HasSubstr("own_namespaces"));
  } else {
    EXPECT_THAT(runtime::LayerNames(result.sessions[0].report.layers),
                testing::Contains("own_namespaces"));
  }
}

TEST_F(GuestEngineTest, ControlGroupsThatAreNotDelegatedAreNamed) {
  config.control_groups = testing::TempDir();
  const Error error = Run(G("a", "")).error.value_or(Error{});
  EXPECT_EQ(error.code, ErrorCode::kUnavailable);
  EXPECT_THAT(error.message, HasSubstr("hands on no controller memory"));
}

TEST_F(GuestEngineTest, EndlessOutputEndsAtItsLimit) {
  config.limits.channel_bytes = 1'000'000;
  const JobResult result = RunBadly(G("a", "flood", kStdout), ErrorCode::kLimitExceeded,
                                    "what it may write to /dev/stdout: channel_bytes is 1000000");
  EXPECT_EQ(result.sessions[0].limit_hit, "channel_bytes");
}

TEST_F(GuestEngineTest, ClientThatGoesAwayStopsItsSessions) {
  RunWell(G("warm", ""));
  const std::size_t before = CountDescriptors();
  {
    const std::unique_ptr<JobHandle> handle =
        engine->Submit(Request(G("a", "loop", "", R"(, "count": 4)")), [](JobResult) {});
    while (engine->stats().sessions < 4) std::this_thread::yield();
  }
  engine->WaitUntilIdle();
  EXPECT_EQ(CountChildren(), 0U);
  EXPECT_LE(CountDescriptors(), before);
}

TEST_F(GuestEngineTest, HostProgramIsRefusedWithASentence) {
  std::ifstream file("/bin/true", std::ios::binary);
  store.objects["bin/true"] = std::string(std::istreambuf_iterator<char>(file), {});
  RunBadly(R"({"name": "a", "exec": {"path": "swift://~/bin/true"}})", ErrorCode::kRejectedCode,
           "/0/exec/path: swift://AUTH_me/bin/true: ");
}

TEST_F(GuestEngineTest, TooLittleMemoryIsNamed) {
  const JobResult result = RunBadly(G("a", "", "", R"(, "memory": 4096)"), ErrorCode::kInvalid,
                                    "session a could not start");
  EXPECT_EQ(result.sessions[0].end, SessionEnd::kNotStarted);
}

// Two thousand sessions through two reducers: descriptors and memory stay bounded by what runs.
TEST_F(GuestEngineTest, ManySessionsRunInWaves) {
  for (int i = 0; i < 2000; ++i) store.objects["many/" + std::to_string(10'000 + i)] = "x";
  RunWell(
      G("m", "cat", R"({"name": "stdin", "path": "swift://~/many/*"})", R"(, "connect": ["r"])") +
      "," + G("r", "cat", kStdout, R"(, "count": 2)"));
  EXPECT_EQ(body, std::string(4000, 'x'));
}

}  // namespace
}  // namespace zerocloud::node
