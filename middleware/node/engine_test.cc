#include "middleware/node/engine.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <future>

#include "middleware/node/render.h"
#include "middleware/node/testing/fake_runner.h"
#include "middleware/node/testing/fake_store.h"
#include "middleware/node/testing/jobs.h"

namespace zerocloud::node {
namespace {

using testing::HasSubstr;
using testing::StartsWith;

std::string ListDescriptors() {
  std::string list;
  for (const auto& entry : std::filesystem::directory_iterator("/proc/self/fd")) {
    std::error_code ignored;
    list += entry.path().string() + " " +
            std::filesystem::read_symlink(entry.path(), ignored).string() + "\n";
  }
  return list;
}

std::string ReadAll(JobResult& result) {
  std::string all;
  std::string buffer(5, '\0');  // small: more reads than pieces
  while (result.body) {
    const std::span<char> span(buffer);
    Result<std::size_t> got = result.body->Read(std::as_writable_bytes(span));
    if (!got) {
      ADD_FAILURE() << got.error().message;
      break;
    }
    if (*got == 0) break;
    all += buffer.substr(0, *got);
  }
  return all;
}

std::string G(std::string_view name, std::string_view args, std::string_view devices = "",
              std::string_view more = "") {
  return GroupOf("p", name, args, devices, more);
}

class EngineTest : public testing::Test {
 protected:
  EngineTest() {
    std::string name = testing::TempDir() + "/engine-XXXXXX";
    directory_ = ::mkdtemp(name.data());
    config.spool_directory = directory_;
    config.slots = 3;
    config.workers = 2;
    store.objects["bin/p"] = "a program";
    store.objects["in/a"] = "1";
    store.objects["in/b"] = "22";
    store.objects["in/c"] = "55555";
  }
  ~EngineTest() override {
    engine.reset();
    EXPECT_EQ(runner.alive(), 0);
    EXPECT_TRUE(std::filesystem::is_empty(directory_)) << "files left in the spool";
    std::filesystem::remove_all(directory_);
  }

  void Start() {
    if (engine) return;
    Result<std::unique_ptr<Engine>> started = Engine::Start(config, store, runner);
    ASSERT_TRUE(started.has_value()) << started.error().message;
    engine = std::move(*started);
  }
  [[nodiscard]] JobRequest Request(const std::string& groups) const {
    return RequestOf(groups, config.limits);
  }
  // Runs a job to its end and checks that it leaves nothing behind but its body.
  JobResult Run(const std::string& groups) {
    Start();
    const std::size_t before = CountDescriptors();
    std::promise<JobResult> promise;
    const std::unique_ptr<JobHandle> handle = engine->Submit(
        Request(groups), [&](JobResult ended) { promise.set_value(std::move(ended)); });
    JobResult result = promise.get_future().get();
    engine->WaitUntilIdle();
    body = ReadAll(result);
    EXPECT_EQ(body.size(), result.body_size);
    result.body.reset();
    EXPECT_EQ(engine->stats().sessions, 0U);
    EXPECT_EQ(engine->stats().spool_bytes, 0U);
    EXPECT_LE(CountDescriptors(), before) << ListDescriptors();
    return result;
  }
  void RunWell(const std::string& groups) {
    const JobResult result = Run(groups);
    EXPECT_FALSE(result.error.has_value()) << result.error.value_or(Error{}).message;
  }
  // Beside another job that does not end.
  void RunWhile(const std::string& groups, const std::string& expected) {
    std::promise<JobResult> promise;
    const std::unique_ptr<JobHandle> handle = engine->Submit(
        Request(groups), [&](JobResult ended) { promise.set_value(std::move(ended)); });
    JobResult result = promise.get_future().get();
    EXPECT_FALSE(result.error.has_value()) << result.error.value_or(Error{}).message;
    EXPECT_EQ(ReadAll(result), expected);
  }
  JobResult RunBadly(const std::string& groups, ErrorCode code, const std::string& message) {
    JobResult result = Run(groups);
    if (!result.error) {
      ADD_FAILURE() << "the job succeeded";
      return result;
    }
    EXPECT_EQ(result.error.value_or(Error{}).code, code);
    EXPECT_THAT(result.error.value_or(Error{}).message, HasSubstr(message));
    EXPECT_EQ(result.body, nullptr);
    return result;
  }

  EngineConfig config;
  FakeStore store;
  FakeRunner runner;
  std::unique_ptr<Engine> engine;
  std::string body;

 private:
  std::string directory_;
};

TEST_F(EngineTest, MapsAndReducesOverStoredObjects) {
  RunWell(
      G("map", "cat", R"({"name": "stdin", "path": "swift://~/in/*"})", R"(, "connect": ["red"])") +
      "," + G("red", "cat", kStdout));
  EXPECT_EQ(body, "12255555");
}

TEST_F(EngineTest, BodyIsAllPathlessOutputsInPlanOrder) {
  RunWell(G("map", "cat", R"({"name": "input", "path": "swift://~/in/*"}, {"name": "stdout"})") +
          "," + G("silent", "", kStdout) + "," +
          G("both", "put:o err:e say:s",
            R"({"name": "output"}, {"name": "stderr"}, {"name": "stdout"})"));
  EXPECT_EQ(body, "12255555seo");
}

TEST_F(EngineTest, BodyHasTheTypeOfTheFirstOutput) {
  EXPECT_EQ(Run(G("a", "say:x", R"({"name": "stdout", "content_type": "text/csv"})") + "," +
                G("b", "say:x", R"({"name": "stdout", "content_type": "text/html"})"))
                .content_type,
            "text/csv");
}

TEST_F(EngineTest, StoresOutputsWithTypeAndMetadata) {
  const JobResult result = Run(G("m", "cat", R"({"name": "stdin", "path": "swift://~/in/*"},
      {"name": "stdout", "path": "swift://~/out/*.txt", "content_type": "text/x", "meta": {"K": "v"}})"));
  EXPECT_EQ(store.objects.at("out/a.txt"), "1");
  EXPECT_EQ(store.objects.at("out/c.txt"), "55555");
  EXPECT_EQ(store.put.at("out/b.txt").content_type, "text/x");
  EXPECT_EQ(store.put.at("out/b.txt").metadata.at("K"), "v");
  ASSERT_EQ(result.sessions.size(), 3U);
  ASSERT_EQ(result.sessions[2].stored.size(), 1U);
  EXPECT_EQ(result.sessions[2].stored[0].size, 5U);
  EXPECT_EQ(result.sessions[2].stored[0].etag, "etag-of-5");
}

TEST_F(EngineTest, StoresNothingUnlessEverySessionSucceeds) {
  RunBadly(G("good", "say:x", R"({"name": "stdout", "path": "swift://~/out/good"})",
             R"(, "connect": ["bad"])") +
               "," + G("bad", "exit:3", R"({"name": "stdout", "path": "swift://~/out/bad"})"),
           ErrorCode::kGuestFault, "session bad failed: exit code 3");
  EXPECT_TRUE(store.put.empty());
}

TEST_F(EngineTest, FailureNamesSessionCauseAndStderr) {
  const JobResult result = RunBadly(G("a", "say:x err:oops exit:7", kStdout),
                                    ErrorCode::kGuestFault, "session a failed: exit code 7");
  EXPECT_EQ(result.failed_session, 0U);
  EXPECT_EQ(result.sessions[0].stderr_tail, "oops");
  EXPECT_EQ(result.sessions[0].end, SessionEnd::kFailed);
  RunBadly(G("a", "fault"), ErrorCode::kGuestFault,
           "session a failed: signal 11 (SIGSEGV) at 0x401234 (main+0x14)");
}

TEST_F(EngineTest, FailureShowsTheEndOfADeclaredStderr) {
  config.limits.stderr_tail_bytes = 4;
  const JobResult result =
      RunBadly(G("a", "err:0123456789 exit:1", R"({"name": "stderr", "path": "swift://~/log/e"})"),
               ErrorCode::kGuestFault, "exit code 1");
  EXPECT_EQ(result.sessions[0].stderr_tail, "6789");
}

TEST_F(EngineTest, KeepsOnlyTheEndOfALongStderr) {
  config.limits.stderr_tail_bytes = 4;
  EXPECT_EQ(Run(G("a", "err:0123456789 err:abcdefghijkl exit:1")).sessions[0].stderr_tail, "ijkl");
}

TEST_F(EngineTest, TimeoutEndsASessionAndIsNamed) {
  RunBadly(G("a", "hang", "", R"(, "timeout": 0.02)"), ErrorCode::kTimeout,
           "session a failed: ran longer than its timeout of 20 ms");
}

TEST_F(EngineTest, OneFailureStopsTheOthers) {
  const JobResult result = RunBadly(
      G("a", "hang") + "," + G("b", "hang") + "," + G("c", "exit:1") + "," + G("d", "say:never"),
      ErrorCode::kGuestFault, "session c failed");
  // "c" may fail before the workers have opened the files of the others.
  using ::testing::AnyOf;
  for (const std::size_t other : {0U, 1U}) {
    EXPECT_THAT(result.sessions[other].end, AnyOf(SessionEnd::kStopped, SessionEnd::kNotStarted));
  }
  EXPECT_EQ(result.sessions[3].end, SessionEnd::kNotStarted);
  EXPECT_EQ(runner.alive(), 0);
}

TEST_F(EngineTest, ClientThatGoesAwayStopsItsSessions) {
  Start();
  const std::size_t before = CountDescriptors();
  std::unique_ptr<JobHandle> handle =
      engine->Submit(Request(G("a", "err:x hang", R"({"name": "stdin", "path": "swift://~/in/*"},
                                      {"name": "stdout", "path": "swift://~/out/*"})")),
                     [](JobResult) { ADD_FAILURE() << "called after the handle was destroyed"; });
  runner.WaitForHanging(3);
  EXPECT_EQ(runner.alive(), 3);
  handle.reset();
  engine->WaitUntilIdle();
  EXPECT_EQ(runner.alive(), 0);
  EXPECT_EQ(engine->stats().jobs, 0U);
  EXPECT_LE(CountDescriptors(), before);
  EXPECT_TRUE(store.put.empty());
}

// Before anything runs there may be thousands of questions to the store.
TEST_F(EngineTest, ClientThatGoesAwayStopsThePreparation) {
  const std::string listing = G("m", "", R"({"name": "stdin", "path": "swift://~/*/*"})");
  const std::string programs = GroupOf("p", "a", "") + "," + GroupOf("q", "b", "");
  const std::string writing = G("w", "", R"({"name": "stdout", "path": "swift://~/out/o"},
                                            {"name": "output", "path": "swift://~/out2/o"})");
  store.objects["in2/a"] = "1";
  store.objects["bin/q"] = "another program";
  // The containers are listed, then each; a program is opened before rights are asked for.
  for (const auto& [groups, steps] :
       {std::pair(listing, 1), std::pair(listing, 2), std::pair(programs, 1), std::pair(writing, 1),
        std::pair(writing, 2)}) {
    const int last = store.calls() + steps;
    std::promise<void> begun;
    std::promise<void> may_go_on;
    store.on_call = [&](int number) {
      if (number != last) return;
      begun.set_value();
      may_go_on.get_future().wait();
    };
    Start();
    std::unique_ptr<JobHandle> handle = engine->Submit(Request(groups), [](JobResult) {
      ADD_FAILURE() << "called after the handle was destroyed";
    });
    begun.get_future().wait();
    handle.reset();
    // Answered without a question to the store, and after the engine has heard of that.
    std::promise<void> heard;
    handle = engine->Submit(Request(G("x", "", R"({"name": "input"})")),
                            [&](JobResult) { heard.set_value(); });
    heard.get_future().wait();
    may_go_on.set_value();
    engine->WaitUntilIdle();
    EXPECT_EQ(store.calls(), last) << groups;
  }
}

TEST_F(EngineTest, HandleMayBeDestroyedAtAnyMoment) {
  Start();
  for (int i = 0; i < 50; ++i) {
    auto handle =
        engine->Submit(Request(G("m", "cat", R"({"name": "stdin", "path": "swift://~/in/*"})",
                                 R"(, "connect": ["r"])") +
                               "," + G("r", "cat", kStdout)),
                       [](JobResult) {});
    if (i % 3 == 0) std::this_thread::yield();
  }
  engine->WaitUntilIdle();
  EXPECT_EQ(engine->stats().spool_bytes, 0U);
}

TEST_F(EngineTest, CallbackMayDestroyItsHandle) {
  Start();
  std::unique_ptr<JobHandle> handle;
  std::promise<void> is_set;
  std::promise<void> is_done;
  handle = engine->Submit(Request(G("a", "")), [&](JobResult) {
    is_set.get_future().wait();
    handle.reset();
    is_done.set_value();
  });
  is_set.set_value();
  is_done.get_future().wait();
  engine->WaitUntilIdle();
}

TEST_F(EngineTest, DestroyingTheEngineEndsItsJobs) {
  Start();
  std::promise<JobResult> promise;
  std::unique_ptr<JobHandle> handle = engine->Submit(
      Request(G("a", "hang")), [&](JobResult r) { promise.set_value(std::move(r)); });
  runner.WaitForHanging(1);
  std::thread closing([&] { engine.reset(); });
  EXPECT_EQ(promise.get_future().get().error.value_or(Error{}).code, ErrorCode::kCancelled);
  closing.join();
  handle.reset();
}

TEST_F(EngineTest, GangRunsAtOnceThoughSlotsAreFewer) {
  config.slots = 1;
  RunWell(G("a", "out:ping take:4", kStdout, R"(, "connect": ["b"])") + "," +
          G("b", "out:pong take:4", kStdout, R"(, "connect": ["a"])"));
  EXPECT_EQ(body, "pongping");
  EXPECT_EQ(runner.most_alive(), 2);
}

TEST_F(EngineTest, GangThatWaitsTooLongIsUnavailable) {
  config.gang_wait = std::chrono::milliseconds(1);
  Start();
  std::promise<JobResult> first;
  std::unique_ptr<JobHandle> busy = engine->Submit(
      Request(G("busy", "hang")), [&](JobResult ended) { first.set_value(std::move(ended)); });
  runner.WaitForHanging(1);
  std::promise<JobResult> second;
  const std::unique_ptr<JobHandle> gang =
      engine->Submit(Request(G("m", "exit:0", "", R"(, "count": 3, "connect": ["m"])")),
                     [&](JobResult ended) { second.set_value(std::move(ended)); });
  const JobResult refused = second.get_future().get();
  const Error error = refused.error.value_or(Error{});
  EXPECT_EQ(error.code, ErrorCode::kUnavailable);
  EXPECT_THAT(error.message, HasSubstr("a gang of 3 sessions, m-1 among them, has waited 1 ms"));
  EXPECT_THAT(error.message, HasSubstr("1 of 3 are taken"));
  EXPECT_EQ(runner.starts(), 1);
  // Whoever stood behind it runs, and so does a gang that finds its slots.
  RunWhile(G("a", "say:x", kStdout), "x");
  RunWhile(G("m", "out:y take:1", kStdout, R"(, "count": 2, "connect": ["m"])"), "yy");
  EXPECT_EQ(engine->stats().waiting_sessions, 0U);
  busy.reset();
  engine->WaitUntilIdle();
}

TEST_F(EngineTest, SlotsBoundWhatIsAlive) {
  config.slots = 2;
  RunWell(G("a", "name", kStdout, R"(, "count": 20)"));
  EXPECT_EQ(runner.starts(), 20);
  EXPECT_LE(runner.most_alive(), 2);
}

TEST_F(EngineTest, WriterSurvivesAReaderThatEndsFirst) {
  RunWell(G("reader", "", "", R"(, "connect": ["writer"])") + "," +
          G("writer", "flood:1000000 say:done", kStdout, R"(, "connect": ["reader"])"));
  EXPECT_EQ(body, "done");
}

TEST_F(EngineTest, ConnectionsOfAllSizesArrive) {
  // Empty, packed in one file with others, and a file of its own.
  for (const int size : {0, 1000, 300'000}) {
    RunWell(G("w", "flood:" + std::to_string(size), "", R"(, "count": 3, "connect": ["r"])") + "," +
            G("r", "cat", kStdout));
    EXPECT_EQ(body, std::string(static_cast<std::size_t>(3 * size), 'x'));
  }
}

TEST_F(EngineTest, ManySessionsNeedFewDescriptors) {
  for (int i = 0; i < 400; ++i) store.objects["many/" + std::to_string(1000 + i)] = "x";
  RunWell(G("m", "cat name", R"({"name": "stdin", "path": "swift://~/many/*"}, {"name": "stdout"})",
            R"(, "connect": ["r"])") +
          "," +
          G("r", "cat", R"({"name": "stdout", "path": "swift://~/out/*"})", R"(, "count": 2)"));
  EXPECT_EQ(store.objects.at("out/r-2"), std::string(400, 'x'));
  EXPECT_EQ(runner.loads(), 1) << "one program, verified once";
}

TEST_F(EngineTest, ProgramsAreVerifiedOnceForAllJobs) {
  RunWell(G("a", ""));
  RunWell(G("a", ""));
  EXPECT_EQ(runner.loads(), 1);
  store.objects["bin/p"] = "another program";
  RunWell(G("a", ""));
  EXPECT_EQ(runner.loads(), 2);
}

TEST_F(EngineTest, ObjectDeletedDuringTheJobIsNamed) {
  runner.on_call = [this] {
    const std::lock_guard lock(store.mutex);
    store.objects.erase("in/b");
  };
  const JobResult result = RunBadly(
      G("a", "call", R"({"name": "stdout", "path": "swift://~/out/o"})", R"(, "connect": ["b"])") +
          "," + G("b", "cat", R"({"name": "stdin", "path": "swift://~/in/b"})"),
      ErrorCode::kNotFound,
      "/1/devices/0: cannot read swift://AUTH_me/in/b for session b: no such object");
  EXPECT_EQ(result.failed_session, 1U);
  EXPECT_TRUE(store.put.empty());
}

TEST_F(EngineTest, RefusesBeforeAnythingRuns) {
  store.read_only = {"ro"};
  RunBadly(G("a", "say:x", R"({"name": "stdout", "path": "swift://~/ro/o"})"),
           ErrorCode::kForbidden, "/0/devices/0/path: you may not write");
  RunBadly(G("a", "", R"({"name": "stdin", "path": "swift://~/in/none*"})"), ErrorCode::kInvalid,
           "no object matches");
  RunBadly(R"({"name": "a", "exec": {"path": "swift://~/bin/none"}})", ErrorCode::kNotFound,
           "/0/exec/path: no such object");
  runner.load_error = Error{ErrorCode::kRejectedCode, "V02 at offset 0x40"};
  store.objects["bin/p"] = "hostile";
  RunBadly(G("a", ""), ErrorCode::kRejectedCode,
           "/0/exec/path: swift://AUTH_me/bin/p: V02 at offset 0x40");
  EXPECT_EQ(runner.starts(), 0);
}

TEST_F(EngineTest, FullSpoolIsNamed) {
  config.limits.job_spool_bytes = 10;
  RunBadly(G("a", "say:0123456789abcdef", kStdout), ErrorCode::kLimitExceeded,
           "what was left of job_spool_bytes is 10");
  // Each alone fits; together they do not.
  RunBadly(G("a", "say:01234567", kStdout, R"(, "count": 3)"), ErrorCode::kLimitExceeded,
           "job_spool_bytes");
}

TEST_F(EngineTest, FullMachineSpoolIsUnavailable) {
  config.spool_bytes = 10;
  RunBadly(G("a", "say:012345", kStdout) + "," + G("b", "hang", "", R"(, "timeout": 0.01)"),
           ErrorCode::kTimeout, "session b");
  const JobResult result = Run(G("a", "say:01234567", kStdout, R"(, "count": 3)"));
  EXPECT_THAT(
      result.error.value_or(Error{}).message,
      testing::AnyOf(HasSubstr("the machine's spool is full"), HasSubstr("job_spool_bytes")));
}

// Each alone fits, and none ends: only what they take meanwhile can tell.
TEST_F(EngineTest, SessionsThatRunAtOnceShareTheSpool) {
  config.limits.job_spool_bytes = 10;
  RunBadly(G("a", "say:01234567 hang", kStdout, R"(, "count": 2)"), ErrorCode::kLimitExceeded,
           "bytes of spool: 16; the limit job_spool_bytes is 10");
}

TEST_F(EngineTest, JobsThatRunAtOnceShareTheMachinesSpool) {
  config.spool_bytes = 10;
  RunBadly(G("a", "say:0123 hang", kStdout) + "," + G("b", "say:01234567 hang", kStdout),
           ErrorCode::kUnavailable, "the machine's spool is full: its limit spool_bytes is 10");
}

TEST_F(EngineTest, FetchedInputsTakeSpool) {
  store.remote = {"in"};
  const std::string reading = R"({"name": "stdin", "path": "swift://~/in/c"})";
  config.limits.job_spool_bytes = 8;
  config.spool_bytes = 9;
  // What the first has read makes room for what the second reads.
  RunWell(G("a", "say:123", std::string(kStdout) + "," + reading, R"(, "connect": ["b"])") + "," +
          G("b", "cat", reading));
  EXPECT_EQ(body, "123");
  RunBadly(G("a", "hang", reading + R"(, {"name": "input", "path": "swift://~/in/c"})"),
           ErrorCode::kLimitExceeded,
           "/0/devices/1: cannot read swift://AUTH_me/in/c for session a: outputs, connections and "
           "fetched inputs of the job take bytes of spool: 10; the limit job_spool_bytes is 8");
  EXPECT_EQ(store.fetched, 3) << "the last was refused before it was fetched";
  const std::unique_ptr<JobHandle> first =
      engine->Submit(Request(G("a", "hang", reading)), [](JobResult) {});
  runner.WaitForHanging(1);
  EXPECT_EQ(engine->stats().spool_bytes, 5U);
  std::promise<JobResult> promise;
  const std::unique_ptr<JobHandle> second = engine->Submit(
      Request(G("b", "", reading)), [&](JobResult r) { promise.set_value(std::move(r)); });
  const Error full = promise.get_future().get().error.value_or(Error{});
  EXPECT_EQ(full.code, ErrorCode::kUnavailable);
  EXPECT_THAT(full.message, HasSubstr("the machine's spool is full"));
}

TEST_F(EngineTest, WhatIsTooLargeIsNotFetched) {
  store.remote = {"in", "bin"};
  config.limits.channel_bytes = 4;
  RunBadly(G("a", "cat", R"({"name": "stdin", "path": "swift://~/in/c"})"),
           ErrorCode::kLimitExceeded,
           "/0/devices/0: cannot read swift://AUTH_me/in/c for session a: its bytes: 5; the limit "
           "channel_bytes is 4");
  EXPECT_EQ(store.fetched, 1) << "the program";
  engine.reset();
  config.limits.program_bytes = 8;
  RunBadly(G("a", "cat"), ErrorCode::kLimitExceeded,
           "/0/exec/path: bytes of the program: 9; the limit program_bytes is 8");
  EXPECT_EQ(store.fetched, 1);
}

TEST_F(EngineTest, ResponseLimitIsNamed) {
  config.limits.response_bytes = 10;
  RunBadly(G("a", "say:01234567", kStdout, R"(, "count": 2)"), ErrorCode::kLimitExceeded,
           "the limit response_bytes is 10");
  // One session alone is stopped while it writes, before it fills the disk.
  RunBadly(G("a", "say:0123456789abcdef", kStdout), ErrorCode::kLimitExceeded,
           "response_bytes is 10");
}

TEST_F(EngineTest, InputLargerThanAChannelIsRefused) {
  config.limits.channel_bytes = 4;
  RunBadly(G("a", "cat", R"({"name": "stdin", "path": "swift://~/in/c"})"),
           ErrorCode::kLimitExceeded, "the limit channel_bytes is 4");
}

TEST_F(EngineTest, FailedPutFailsTheJob) {
  store.unstorable = {"out/o"};
  RunBadly(G("a", "say:x", R"({"name": "stdout", "path": "swift://~/out/o"})"),
           ErrorCode::kUnavailable,
           "/0/devices/0/path: cannot store swift://AUTH_me/out/o of session a: disk full");
}

// Of each object that a job says it has stored, the name.
std::vector<std::string> StoredOf(const JobResult& result) {
  std::vector<std::string> stored;
  for (const SessionOutcome& session : result.sessions) {
    for (const StoredObject& object : session.stored) {
      EXPECT_FALSE(object.etag.empty());
      stored.push_back(object.object.ToString());
    }
  }
  return stored;
}

TEST_F(EngineTest, FailedJobTellsWhatItHasStoredAndNothingElse) {
  const std::string text = "say:x";
  const std::string good = G("a", text, R"({"name": "stdout", "path": "swift://~/out/a"})") + "," +
                           G("b", text, R"({"name": "stdout", "path": "swift://~/out/b"})");
  EXPECT_THAT(StoredOf(Run(good)),
              testing::ElementsAre("swift://AUTH_me/out/a", "swift://AUTH_me/out/b"));
  const JobResult failed = RunBadly(good + "," + G("c", "exit:3"), ErrorCode::kGuestFault, "");
  EXPECT_THAT(StoredOf(failed), testing::IsEmpty());
  store.unstorable = {"out/b"};
  store.objects.erase("out/a");
  JobResult half = RunBadly(good, ErrorCode::kUnavailable, "cannot store swift://AUTH_me/out/b");
  // Several are stored at once, so the other one may not have begun.
  const bool is_there = store.objects.contains("out/a");
  EXPECT_EQ(StoredOf(half), is_there ? std::vector<std::string>{"swift://AUTH_me/out/a"}
                                     : std::vector<std::string>());
  const http::Response plain = RenderResponse(std::move(half), AnswerForm::kPlain);
  EXPECT_EQ(plain.text.contains("stored all the same:\nswift://AUTH_me/out/a "), is_there)
      << plain.text;
}

TEST_F(EngineTest, SessionThatCannotStartFailsTheWholeGang) {
  runner.starts_left = 2;
  const JobResult result =
      RunBadly(G("a", "hang", "", R"(, "count": 3, "connect": ["a"])"), ErrorCode::kUnavailable,
               "session a-3 could not start: out of processes");
  EXPECT_EQ(result.sessions[0].end, SessionEnd::kStopped);
  EXPECT_EQ(result.sessions[2].end, SessionEnd::kNotStarted);
}

TEST_F(EngineTest, SessionWhoseEndWouldNotBeHeardOfIsEnded) {
  runner.watched_left = 1;
  const JobResult result =
      RunBadly(G("a", "hang", "", R"(, "count": 2, "connect": ["a"])"), ErrorCode::kForbidden,
               "session a-2 could not start: the engine cannot wait for it (epoll)");
  EXPECT_EQ(result.sessions[0].end, SessionEnd::kStopped);
  EXPECT_EQ(result.sessions[1].end, SessionEnd::kNotStarted);
}

TEST_F(EngineTest, TooManyJobsAreUnavailable) {
  config.jobs = 1;
  Start();
  const std::unique_ptr<JobHandle> first =
      engine->Submit(Request(G("a", "hang")), [](JobResult) {});
  runner.WaitForHanging(1);
  std::promise<JobResult> promise;
  const std::unique_ptr<JobHandle> second =
      engine->Submit(Request(G("a", "")), [&](JobResult r) { promise.set_value(std::move(r)); });
  const JobResult result = promise.get_future().get();
  EXPECT_EQ(result.error.value_or(Error{}).code, ErrorCode::kUnavailable);
  EXPECT_THAT(result.error.value_or(Error{}).message,
              StartsWith("1 jobs are waiting or running already"));
}

TEST_F(EngineTest, JobsDoNotWaitForEachOther) {
  Start();
  const std::unique_ptr<JobHandle> slow =
      engine->Submit(Request(G("a", "hang") + "," + G("b", "hang")), [](JobResult) {});
  runner.WaitForHanging(2);
  std::promise<JobResult> promise;
  const std::unique_ptr<JobHandle> quick = engine->Submit(
      Request(G("a", "say:x", kStdout)), [&](JobResult r) { promise.set_value(std::move(r)); });
  EXPECT_FALSE(promise.get_future().get().error.has_value());
}

TEST_F(EngineTest, SessionsLearnWhoTheyAre) {
  RunWell(R"({"name": "m", "exec": {"path": "swift://~/bin/p", "args": "nvram \"err:a b\"",
              "env": {"K": "v,w", "SCRIPT_NAME": "mine"}},
              "devices": [{"name": "stdin", "path": "swift://~/in/c*"}, {"name": "stdout"}]})");
  EXPECT_THAT(body, StartsWith("[args]\nargs=m-1 nvram err:a\\x20b\n[env]\n"));
  EXPECT_THAT(body, HasSubstr("name=K,value=v\\x2cw\n"));
  EXPECT_THAT(body, HasSubstr("name=SCRIPT_NAME,value=m-1\n"));
  EXPECT_THAT(body, HasSubstr("name=SESSION_COUNT,value=1\n"));
  EXPECT_THAT(body, HasSubstr("name=LOCAL_PATH_INFO,value=/AUTH_me/in/c\n"));
  EXPECT_THAT(body, HasSubstr("name=LOCAL_CONTENT_LENGTH,value=5\n"));
}

TEST_F(EngineTest, LongEnvironmentIsRefused) {
  config.limits.nvram_bytes = 50;
  RunBadly(G("a", ""), ErrorCode::kLimitExceeded, "the limit nvram_bytes is 50");
}

TEST_F(EngineTest, SpoolDirectoryMustExist) {
  config.spool_directory = "/nonexistent";
  EXPECT_EQ(Engine::Start(config, store, runner).error().code, ErrorCode::kNotFound);
}

}  // namespace
}  // namespace zerocloud::node
