#include "middleware/remote/nodes.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/resource.h>

#include <atomic>
#include <csignal>
#include <future>
#include <latch>

#include "middleware/remote/testing/cluster_test.h"

namespace zerocloud::remote {
namespace {

using node::SessionEnd;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

using NodesTest = ClusterTest;

TEST_F(NodesTest, RunAllSessions) {
  TestNode& first = AddNode();
  TestNode& second = AddNode();
  const JobResult result = RunWell(G("g", "cat", kInputs));
  EXPECT_EQ(body, "12255555");
  EXPECT_EQ(local.starts(), 0);
  EXPECT_EQ(first.runner.starts() + second.runner.starts(), 3);
  for (const node::SessionOutcome& session : result.sessions) {
    EXPECT_EQ(session.end, SessionEnd::kSucceeded);
    EXPECT_THAT(session.node, HasSubstr("127.0.0."));
    EXPECT_THAT(session.failed_nodes, IsEmpty());
  }
}

TEST_F(NodesTest, GetAProgramOnce) {
  TestNode& node = AddNode();
  RunWell(G("g", "cat", kInputs));
  RunWell(G("g", "cat", kInputs));
  EXPECT_EQ(node.runner.starts(), 6);
  // Sessions that start at once may each bring it.
  EXPECT_LE(node.runner.loads(), 2);
}

TEST_F(NodesTest, HoldTheObjectThatIsRead) {
  AddNode();
  AddNode();
  AddNode();
  holders = {{"a", {"127.0.0.4"}}, {"b", {"127.0.0.3"}}, {"c", {"192.0.2.1", "127.0.0.2"}}};
  const JobResult result = RunWell(G("g", "cat", kInputs));
  EXPECT_EQ(result.sessions[0].node, NameOf(2));
  EXPECT_EQ(result.sessions[1].node, NameOf(1));
  EXPECT_EQ(result.sessions[2].node, NameOf(0));
}

TEST_F(NodesTest, ShareTheSessionsOfObjectsThatAllHold) {
  node_options.slots = 6;
  for (int i = 0; i < 3; ++i) AddNode();
  for (const char* name : {"k", "l", "m", "n", "o", "p"}) {
    store.objects[std::string("in4/") + name] = name;
    holders[name] = {"127.0.0.3", "127.0.0.4", "127.0.0.2"};
  }
  // Each waits until all run, so that none has ended when the next is placed.
  std::latch all(6);
  for (const auto& node : nodes) node->runner.on_call = [&] { all.arrive_and_wait(); };
  RunWell(
      G("g", "call cat", R"({"name": "stdin", "path": "swift://~/in4/*"}, {"name": "stdout"})"));
  EXPECT_EQ(body, "klmnop");
  for (const auto& node : nodes) EXPECT_LE(node->runner.starts(), 3);  // its share and one more
}

TEST_F(NodesTest, WillHoldTheObjectThatAnAttachedOutputBecomes) {
  for (int i = 0; i < 3; ++i) AddNode();
  holders = {{"a", {"127.0.0.4"}}, {"new", {"127.0.0.3"}}};
  const std::string devices = R"({"name": "stdin", "path": "swift://~/in/a"},
                                 {"name": "stdout", "path": "swift://~/out/new"})";
  EXPECT_EQ(RunWell(G("g", "cat", devices)).sessions[0].node, NameOf(2));
  EXPECT_EQ(RunWell(G("g", "cat", devices, R"(, "attach": "stdout")")).sessions[0].node, NameOf(1));
  EXPECT_EQ(RunWell(G("g", "cat", devices, R"(, "attach": "stdin")")).sessions[0].node, NameOf(2));
}

TEST_F(NodesTest, TellTheProgramOfTheObjectItIsAttachedTo) {
  AddNode();
  RunWell(G("g", "nvram", R"({"name": "stdin", "path": "swift://~/in/a"}, {"name": "stdout"},
                             {"name": "input", "path": "swift://~/in/b"})",
            R"(, "attach": "input")"));
  EXPECT_THAT(body, HasSubstr("name=LOCAL_PATH_INFO,value=/AUTH_me/in/b\n"));
}

TEST_F(NodesTest, AreSharedByGroupsOfOneLocation) {
  node_options.slots = 2;
  for (int i = 0; i < 3; ++i) AddNode();
  holders = {{"a", {"127.0.0.4"}}, {"b", {"127.0.0.3"}}, {"c", {"127.0.0.2"}}};
  const std::string tag = R"(, "location": "x")";
  const JobResult result = RunWell(G("m", "cat", R"({"name": "stdin", "path": "swift://~/in/*"})",
                                     tag + R"(, "connect": ["r"])") +
                                   "," + G("r", "cat", kStdout, tag + R"(, "count": 3)"));
  EXPECT_EQ(body, "122555551225555512255555");
  for (const std::size_t i : {0U, 1U, 2U}) {
    EXPECT_EQ(result.sessions[i].node, NameOf(2 - i));
    EXPECT_EQ(result.sessions[i + 3].node, result.sessions[i].node);
  }
}

TEST_F(NodesTest, AreLeftByAllOfALocationWhenTheyFail) {
  store.objects["in2/x"] = "text";
  AddScripted([](peer::SecureConnection&, const Offer&) {});  // hangs up
  AddNode();
  AddNode();
  const std::string tag = R"(, "location": "x")";
  const JobResult result = RunWell(G("m", "cat", R"({"name": "stdin", "path": "swift://~/in2/x"})",
                                     tag + R"(, "connect": ["r"])") +
                                   "," + G("r", "cat", kStdout, tag));
  EXPECT_EQ(result.sessions[0].failed_nodes.size(), 1U);
  EXPECT_THAT(result.sessions[1].failed_nodes, IsEmpty());
  EXPECT_EQ(result.sessions[1].node, result.sessions[0].node);
}

TEST_F(NodesTest, PassOnWhatSessionsWriteToEachOther) {
  AddNode();
  AddNode();
  RunWell(G("m", "cat", R"({"name": "stdin", "path": "swift://~/in/*"})", R"(, "connect": ["r"])") +
          "," + G("r", "cat", kStdout));
  EXPECT_EQ(body, "12255555");
  EXPECT_EQ(local.starts(), 0);
}

TEST_F(NodesTest, PassOnMoreThanOneFrame) {
  AddNode();
  RunWell(G("m", "flood:1000000", "", R"(, "connect": ["r"])") + "," + G("r", "cat", kStdout));
  EXPECT_EQ(body, std::string(1'000'000, 'x'));
}

TEST_F(NodesTest, HaveOutputsStoredOnceAllHaveSucceeded) {
  AddNode();
  const JobResult result = RunWell(G("g", "cat", R"({"name": "stdin", "path": "swift://~/in/*"},
                       {"name": "stdout", "path": "swift://~/out/*.copy"})"));
  EXPECT_EQ(store.objects["out/c.copy"], "55555");
  EXPECT_EQ(result.sessions[2].stored.at(0).size, 5U);
  Run(G("a", "cat", R"({"name": "stdin", "path": "swift://~/in/a"},
                       {"name": "stdout", "path": "swift://~/out/never"})") +
      "," + G("b", "exit:3"));
  EXPECT_FALSE(store.objects.contains("out/never"));
}

TEST_F(NodesTest, TellTheProgramOfItsObject) {
  AddNode();
  RunWell(G("g", "nvram", kInputs));
  EXPECT_THAT(body, HasSubstr("name=LOCAL_PATH_INFO,value=/AUTH_me/in/b\n"));
  EXPECT_THAT(body, HasSubstr("name=LOCAL_CONTENT_LENGTH,value=5\n"));
  EXPECT_THAT(body, HasSubstr("name=SESSION_NAME,value=g-2\n"));
}

TEST_F(NodesTest, SayWhyASessionFailed) {
  AddNode();
  const JobResult result = Run(G("g", "err:because exit:3"));
  const Error error = result.error.value_or(Error{});
  EXPECT_EQ(error.code, ErrorCode::kGuestFault);
  EXPECT_EQ(result.sessions[0].stderr_tail, "because");
  EXPECT_EQ(result.sessions[0].end, SessionEnd::kFailed);
  EXPECT_EQ(result.sessions[0].node, NameOf(0));
}

TEST_F(NodesTest, SayWhichInputIsMissing) {
  TestNode& node = AddNode();
  AddNode();
  const JobResult result =
      Run(G("g", "cat", R"({"name": "stdout"}, {"name": "input", "path": "swift://~/in/none"})"));
  const Error error = result.error.value_or(Error{});
  EXPECT_EQ(error.code, ErrorCode::kNotFound);
  EXPECT_THAT(error.message,
              HasSubstr("/0/devices/1: cannot read swift://AUTH_me/in/none for session g: "));
  EXPECT_EQ(node.runner.starts(), 0);
}

TEST_F(NodesTest, MayRefuseAProgram) {
  AddNode().runner.load_error = Error{ErrorCode::kRejectedCode, "a jump"};
  const JobResult result = Run(G("g", "say:x", kStdout));
  const Error error = result.error.value_or(Error{});
  EXPECT_EQ(error.code, ErrorCode::kRejectedCode);
}

TEST_F(NodesTest, HaveLimitsOfTheirOwn) {
  node_options.limits.timeout_seconds = 5;
  struct Log {
    std::mutex mutex;
    std::vector<std::string> lines;  // guarded by mutex
  };
  const auto log = std::make_shared<Log>();  // the node ends after this function
  node_options.log = [log](const std::string& line) {
    const std::lock_guard lock(log->mutex);
    log->lines.push_back(line);
  };
  AddNode();
  const JobResult result = Run(G("g", "say:x", kStdout, R"(, "timeout": 60)"));
  const Error error = result.error.value_or(Error{});
  EXPECT_EQ(error.code, ErrorCode::kUnavailable);
  EXPECT_THAT(error.message, HasSubstr("its own limit jobs.timeout_seconds is 5, and 60 were"));
  // The operator of the node is told, too.
  const std::lock_guard lock(log->mutex);
  EXPECT_THAT(log->lines,
              ElementsAre(HasSubstr(
                  "refused session g: its own limit jobs.timeout_seconds is 5, and 60 were")));
}

TEST_F(NodesTest, ChangeWhileSessionsRun) {
  TestNode& old = AddNode();
  Start();
  std::vector<std::unique_ptr<node::JobHandle>> handles;
  const auto submit = [&](const std::string& groups) {
    auto ended = std::make_shared<std::promise<JobResult>>();
    handles.push_back(engine->Submit(
        Request(groups), [ended](JobResult result) { ended->set_value(std::move(result)); }));
    return ended->get_future();
  };
  std::latch goes_on(1);
  std::latch runs(1);
  old.runner.on_call = [&] {
    runs.count_down();
    goes_on.wait();
  };
  std::future<JobResult> first = submit(G("g", "call say:x", kStdout));
  runs.wait();
  TestNode& added = AddNode();
  ASSERT_TRUE(cluster->Change({options.nodes[1]}, 2).has_value());
  EXPECT_EQ(cluster->stats().nodes, 1U);
  EXPECT_EQ(cluster->attempts(), 2U);
  // New sessions run on the new node,
  EXPECT_EQ(submit(G("g", "say:y", kStdout)).get().sessions[0].node, NameOf(1));
  EXPECT_EQ(old.runner.starts(), 1);
  // the old one ends where it is,
  goes_on.count_down();
  const JobResult result = first.get();
  EXPECT_FALSE(result.error.has_value());
  EXPECT_EQ(result.sessions[0].node, NameOf(0));
  EXPECT_THAT(result.sessions[0].failed_nodes, IsEmpty());
  // and a node may come back.
  ASSERT_TRUE(cluster->Change({options.nodes[0]}, 2).has_value());
  EXPECT_EQ(submit(G("g", "say:z", kStdout)).get().sessions[0].node, NameOf(0));
  EXPECT_EQ(added.runner.starts(), 1);
  for (int i = 0; i < 20; ++i) {
    ASSERT_TRUE(cluster->Change({options.nodes[static_cast<std::size_t>(i % 2)]}, 2).has_value());
  }
  EXPECT_EQ(cluster->stats().nodes, 1U);
}

TEST_F(NodesTest, ThatAreNotListedAnyMoreHearOfTheProxyUntilTheyEnd) {
  options.patience.silence = std::chrono::milliseconds(400);
  ScriptedNode& old = AddScripted([](peer::SecureConnection&, const Offer&) {});
  AddNode();
  Start();
  ASSERT_TRUE(cluster->Change({options.nodes[1]}, 3).has_value());
  const int before = old.greetings();
  while (old.greetings() < before + 3) std::this_thread::yield();
  EXPECT_EQ(RunWell(G("g", "say:y", kStdout)).sessions[0].node, NameOf(1));
  EXPECT_EQ(old.offers(), 0);
  // One that has ended is not looked for; listed again, it is.
  scripted.clear();
  for (int i = 0; i < 3; ++i) {
    ASSERT_TRUE(cluster->Change(options.nodes, 3).has_value());
    ASSERT_TRUE(cluster->Change({options.nodes[1]}, 3).has_value());
  }
  EXPECT_EQ(cluster->stats().nodes, 1U);
}

TEST_F(NodesTest, ThatAreBusySendSessionsOn) {
  node_options.slots = 1;
  node_options.waiting = 0;
  TestNode& full = AddNode();
  AddNode();
  AddNode();
  holders = {{"a", {"127.0.0.2"}}, {"b", {"127.0.0.2"}}, {"c", {"127.0.0.2"}}};
  // Each waits until all three run, so no two can have run on one node.
  std::latch all(3);
  for (const auto& node : nodes) node->runner.on_call = [&] { all.arrive_and_wait(); };
  const JobResult result = RunWell(G("g", "call cat", kInputs));
  EXPECT_EQ(body, "12255555");
  EXPECT_EQ(full.runner.starts(), 1);
}

TEST_F(NodesTest, ThatOtherProxiesLoadAreLeftToThem) {
  store.objects["in2/x"] = "text";
  const std::string loaded = NextHost();
  const Hello all_taken{.slots = 2, .sessions = 2};
  scripted.push_back(std::make_unique<ScriptedNode>(loaded, *keys, all_taken,
                                                    [](peer::SecureConnection&, const Offer&) {}));
  options.nodes.push_back({loaded, scripted.front()->port()});
  holders["x"] = {loaded, NextHost()};
  AddNode();
  RunWell(G("g", "cat", R"({"name": "stdin", "path": "swift://~/in2/x"}, {"name": "stdout"})"));
  EXPECT_EQ(body, "text");
  EXPECT_EQ(scripted.front()->offers(), 0);
}

TEST_F(NodesTest, EndSessionsOfAJobThatIsCancelled) {
  TestNode& node = AddNode();
  Start();
  std::unique_ptr<node::JobHandle> handle =
      engine->Submit(Request(G("g", "hang", kStdout)), [](const JobResult&) { ADD_FAILURE(); });
  node.runner.WaitForHanging(1);
  handle.reset();
  engine->WaitUntilIdle();
  node.server.reset();  // waits for its threads
  EXPECT_EQ(node.runner.alive(), 0);
}

TEST_F(NodesTest, EndSessionsOfAProxyThatIsGone) {
  TestNode& node = AddNode();
  Start();
  const std::unique_ptr<node::JobHandle> handle =
      engine->Submit(Request(G("g", "hang", kStdout)), [](const JobResult&) {});
  node.runner.WaitForHanging(1);
  engine.reset();
  cluster.reset();
  while (node.runner.alive() > 0) std::this_thread::yield();
  while (node.server->stats().sessions > 0) std::this_thread::yield();
  EXPECT_EQ(node.server->stats().spool_bytes, 0U);
}

TEST_F(NodesTest, KeepTheTimeLimit) {
  AddNode();
  const JobResult result = Run(G("g", "hang", "", R"(, "timeout": 0.05)"));
  const Error error = result.error.value_or(Error{});
  EXPECT_EQ(error.code, ErrorCode::kTimeout);
}

TEST_F(NodesTest, ThatAreAllGoneAreUnavailable) {
  AddNode().server.reset();
  AddNode().server.reset();
  const JobResult result = Run(G("g", "say:x", kStdout));
  const Error error = result.error.value_or(Error{});
  EXPECT_EQ(error.code, ErrorCode::kUnavailable);
  EXPECT_THAT(error.message, HasSubstr("session g could not run on any node"));
  EXPECT_THAT(error.message, HasSubstr(NameOf(1) + ": it cannot be reached"));
  EXPECT_EQ(local.starts(), 0);
}

TEST_F(NodesTest, AreReplacedByThisMachineIfItMay) {
  AddNode().server.reset();
  config.is_fallback = true;
  const JobResult result = RunWell(G("g", "cat", kInputs));
  EXPECT_EQ(body, "12255555");
  EXPECT_EQ(local.starts(), 3);
  EXPECT_EQ(result.sessions[0].node, "");
  EXPECT_THAT(result.sessions[0].failed_nodes, ElementsAre(HasSubstr("cannot be reached")));
}

TEST_F(NodesTest, CountASessionOnceThoughThisMachineRunsIt) {
  AddNode().server.reset();
  config.is_fallback = true;
  Start();
  std::unique_ptr<node::JobHandle> handle =
      engine->Submit(Request(G("g", "hang", kStdout)), [](const JobResult&) { ADD_FAILURE(); });
  local.WaitForHanging(1);
  EXPECT_EQ(engine->stats().waiting_sessions, 0U);
  handle.reset();
  engine->WaitUntilIdle();
  EXPECT_EQ(engine->stats().waiting_sessions, 0U);
}

// What failing and hostile nodes do. Nothing of it has happened, and the job goes on elsewhere.

TEST_F(NodesTest, ThatDieWithASessionAreReplaced) {
  const JobResult result =
      RunAfter([](peer::SecureConnection& connection, const Offer&) { Begin(connection); });
  EXPECT_THAT(result.sessions[0].failed_nodes[0], HasSubstr(NameOf(0)));
}

TEST_F(NodesTest, ThatSendHalfOfAnOutputAreReplaced) {
  RunAfter([](peer::SecureConnection& connection, const Offer& offer) {
    Begin(connection);
    const std::string half = peer::DataPayload(OutputOf(offer), "half of what it wrote");
    EXPECT_TRUE(connection.Send(FrameKind::kData, half).has_value());
  });
}

TEST_F(NodesTest, ThatSendAnotherDigestAreReplaced) {
  const JobResult result = RunAfter([](peer::SecureConnection& connection, const Offer& offer) {
    Begin(connection);
    const std::uint32_t output = OutputOf(offer);
    ASSERT_TRUE(connection.Send(FrameKind::kData, peer::DataPayload(output, "evil")).has_value());
    const StreamEnd end{output, 4, std::string(64, '0')};
    ASSERT_TRUE(connection.Send(FrameKind::kDigest, Encode(end)).has_value());
    Linger(connection);
  });
  EXPECT_THAT(result.sessions[0].failed_nodes[0],
              HasSubstr("what it sent of /dev/stdout is not what its digest says"));
}

TEST_F(NodesTest, ThatReportWhatTheyDidNotSendAreReplaced) {
  const JobResult result = RunAfter([](peer::SecureConnection& connection, const Offer& offer) {
    Begin(connection);
    ASSERT_TRUE(connection.Send(FrameKind::kReport, Encode(Success(offer, 4))).has_value());
    Linger(connection);
  });
  EXPECT_THAT(result.sessions[0].failed_nodes[0], HasSubstr("it has not sent all of /dev/stdout"));
}

TEST_F(NodesTest, ThatReportOtherChannelsAreReplaced) {
  const JobResult result = RunAfter([](peer::SecureConnection& connection, const Offer& offer) {
    Begin(connection);
    EndReport end = Success(offer, 0);
    end.report.channels.pop_back();
    ASSERT_TRUE(connection.Send(FrameKind::kReport, Encode(end)).has_value());
    Linger(connection);
  });
  EXPECT_THAT(result.sessions[0].failed_nodes[0], HasSubstr("it reports other channels"));
}

TEST_F(NodesTest, ThatSendWithoutEndAreReplaced) {
  config.limits.channel_bytes = 1 << 20;
  const JobResult result = RunAfter([](peer::SecureConnection& connection, const Offer& offer) {
    Begin(connection);
    const std::string piece = peer::DataPayload(OutputOf(offer), std::string(65536, 'x'));
    while (connection.Send(FrameKind::kData, piece)) {
    }
  });
  EXPECT_THAT(result.sessions[0].failed_nodes[0],
              HasSubstr("it sent more than the session may write"));
}

TEST_F(NodesTest, ThatWriteWhatIsOnlyReadAreReplaced) {
  RunAfter([](peer::SecureConnection& connection, const Offer&) {
    Begin(connection);
    ASSERT_TRUE(connection.Send(FrameKind::kData, peer::DataPayload(0, "evil")).has_value());
    Linger(connection);
  });
}

TEST_F(NodesTest, ThatSendNonsenseAreReplaced) {
  RunAfter([](peer::SecureConnection& connection, const Offer&) {
    Begin(connection);
    ASSERT_TRUE(connection.Send(FrameKind::kReport, "[1, 2").has_value());
    Linger(connection);
  });
}

TEST_F(NodesTest, WithoutRoomAreReplaced) {
  const JobResult result = RunAfter([](peer::SecureConnection& connection, const Offer&) {
    const Failure failure{{ErrorCode::kUnavailable, "the disk is full"}, {}};
    ASSERT_TRUE(connection.Send(FrameKind::kFailed, Encode(failure)).has_value());
    Linger(connection);
  });
  EXPECT_THAT(result.sessions[0].failed_nodes[0], HasSubstr("the disk is full"));
}

TEST_F(NodesTest, ThatFallSilentAreReplaced) {
  // Long enough for the honest one on any machine, since it answers on threads that only wait.
  options.patience.silence = std::chrono::seconds(5);
  const JobResult result = RunAfter([&](peer::SecureConnection& connection, const Offer&) {
    Begin(connection);
    while (!scripted.front()->WaitForStop(1000)) {
    }
  });
  EXPECT_THAT(result.sessions[0].failed_nodes[0], HasSubstr("silent"));
}

TEST_F(NodesTest, AreSaidToAnswerAgainAfterASessionFoundOtherwise) {
  std::promise<void> answers;
  std::atomic<bool> has_complained = false;
  options.log = [&](const std::string& line) {
    if (!line.starts_with("node " + NameOf(0))) return;
    // Its keeper's own connection never broke.
    if (line.ends_with(": it answers again") && has_complained) return answers.set_value();
    has_complained = true;
  };
  RunAfter([](peer::SecureConnection& connection, const Offer&) { Begin(connection); });
  EXPECT_TRUE(has_complained);
  EXPECT_EQ(answers.get_future().wait_for(std::chrono::minutes(1)), std::future_status::ready);
}

TEST_F(NodesTest, AreNotBlamedForTheProxysDisk) {
  constexpr std::size_t kPiece = 60'000;
  constexpr rlim_t kMost = 50'000;
  AddScripted([](peer::SecureConnection& connection, const Offer& offer) {
    Begin(connection);
    const std::string piece = peer::DataPayload(OutputOf(offer), std::string(kPiece, 'x'));
    EXPECT_TRUE(connection.Send(FrameKind::kData, piece).has_value());
    Linger(connection);
  });
  TestNode& other = AddNode();
  Start();
  std::signal(SIGXFSZ, SIG_IGN);
  rlimit before{};
  ASSERT_EQ(::getrlimit(RLIMIT_FSIZE, &before), 0);
  const rlimit little{.rlim_cur = kMost, .rlim_max = before.rlim_max};
  ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &little), 0);
  const JobResult result = Run(G("g", "say:x", kStdout));
  ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &before), 0);
  EXPECT_THAT(result.error.value_or(Error{}).message, HasSubstr("cannot keep what a node sends"));
  EXPECT_EQ(other.runner.starts(), 0);
  EXPECT_EQ(cluster->stats().up, 2U);
}

TEST_F(NodesTest, AreConnectedToAnewAfterAWhile) {
  AddNode();
  const auto is_kept = [this] {
    Start();
    Result<Nodes::Connection> made = cluster->Connect(0);
    EXPECT_TRUE(made.has_value());
    if (made) cluster->GiveBack(0, std::move(*made));
    const bool kept = cluster->TakeIdle(0) != nullptr;
    engine.reset();
    cluster.reset();
    return kept;
  };
  EXPECT_TRUE(is_kept());
  options.oldest_idle = std::chrono::milliseconds(-1);  // whatever the clock's resolution
  EXPECT_FALSE(is_kept());
}

TEST_F(NodesTest, AreTriedSoOftenAndNoMore) {
  options.attempts = 2;
  const auto die = [](peer::SecureConnection& connection, const Offer&) { Begin(connection); };
  for (int i = 0; i < 4; ++i) AddScripted(die);
  const JobResult result = Run(G("g", "say:x", kStdout));
  const Error error = result.error.value_or(Error{});
  EXPECT_EQ(error.code, ErrorCode::kUnavailable);
  EXPECT_EQ(result.sessions[0].failed_nodes.size(), 2U);
}

}  // namespace
}  // namespace zerocloud::remote
