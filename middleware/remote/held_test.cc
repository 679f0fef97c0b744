// What sessions write stays on their nodes: stored from there, read from there, and made again when
// the node is lost.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <latch>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "middleware/digest/digest.h"
#include "middleware/remote/testing/cluster_test.h"
#include "middleware/remote/wire_holds.h"

namespace zerocloud::remote {
namespace {

using node::SessionEnd;
using testing::Contains;
using testing::Each;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;

constexpr std::string_view kFromA = R"({"name": "stdin", "path": "swift://~/in/a"})";
constexpr std::string_view kFromB = R"({"name": "stdin", "path": "swift://~/in/b"})";
constexpr std::string_view kToA = R"(, {"name": "stdout", "path": "swift://~/out/a"})";

std::string Both(std::string_view one, std::string_view other) {
  return std::string(one) + std::string(other);
}

class HeldTest : public ClusterTest {
 protected:
  // The sessions that say "call" on that node go on when `sessions` others have ended for the proxy
  // and nothing waits; first `then` is done, once.
  void Meanwhile(std::size_t node, int others, std::function<void()> then) {
    nodes[node]->runner.on_call = [this, others, then = std::move(then)] {
      if (is_done_.exchange(true)) return;
      const auto have_ended = [&] {
        int started = 0;
        for (const auto& each : nodes) started += each->runner.starts();
        const node::EngineStats stats = engine->stats();
        return started == others + 1 && stats.waiting_sessions == waiting && stats.sessions == 1;
      };
      while (!have_ended()) std::this_thread::yield();
      then();
    };
  }
  void WaitUntilNothingIsHeld() {
    for (const auto& node : nodes) {
      // The sessions of a job that was stopped may still be ending.
      const auto is_busy = [&] {
        const NodeStats stats = node->server->stats();
        return stats.holds + stats.spool_bytes > 0;
      };
      while (node->server && is_busy()) std::this_thread::yield();
    }
  }

  std::size_t waiting = 0;  // sessions that wait for the one that calls
  std::atomic<bool> is_done_ = false;
};

TEST_F(HeldTest, OutputsAreStoredByTheirNodes) {
  node::FakeStore theirs;
  theirs.objects = store.objects;
  node_store = &theirs;
  TestNode& node = AddNode();
  const JobResult result = RunWell(G("g", "cat", Both(kFromA, R"(, {"name": "stdout",
      "path": "swift://~/out/a", "content_type": "text/x-a", "meta": {"Kind": "copy"}})")));
  EXPECT_FALSE(store.objects.contains("out/a"));
  EXPECT_EQ(theirs.objects["out/a"], "1");
  EXPECT_EQ(theirs.put["out/a"].content_type, "text/x-a");
  EXPECT_EQ(theirs.put["out/a"].metadata.at("Kind"), "copy");
  EXPECT_EQ(result.sessions[0].stored.at(0).etag, "etag-of-1");
  EXPECT_EQ(node.runner.starts(), 1);
  WaitUntilNothingIsHeld();
}

TEST_F(HeldTest, OutputsOfAnySizeAreStoredWhole) {
  AddNode();
  AddNode();
  RunWell(G("p", "flood:3000000", "", R"(, "connect": ["q"])") + "," +
          G("q", "cat", R"({"name": "stdout", "path": "swift://~/out/large"})"));
  EXPECT_TRUE(store.objects["out/large"] == std::string(3'000'000, 'x'));
  WaitUntilNothingIsHeld();
}

TEST_F(HeldTest, ItIsReadWhereMostOfItLies) {
  AddNode();
  AddNode();
  AddNode();
  holders = {{"a", {"127.0.0.4"}}, {"c", {"127.0.0.3"}}};
  const JobResult result = RunWell(
      G("m", "cat", kFromA, R"(, "connect": ["r"])") + "," +
      G("n", "cat", R"({"name": "stdin", "path": "swift://~/in/c"})", R"(, "connect": ["r"])") +
      "," + G("r", "cat", "", R"(, "connect": ["s"])") + "," + G("s", "cat", kStdout));
  EXPECT_EQ(body, "155555");
  EXPECT_EQ(result.sessions[2].node, NameOf(1));
  EXPECT_EQ(result.sessions[3].node, NameOf(1));
}

TEST_F(HeldTest, NothingIsHeldForAJobThatFails) {
  AddNode();
  AddNode();
  Run(G("a", "cat", Both(kFromA, kToA)) + "," + G("b", "cat exit:3", kFromB));
  EXPECT_FALSE(store.objects.contains("out/a"));
  WaitUntilNothingIsHeld();
}

TEST_F(HeldTest, NothingIsHeldForAJobThatIsCancelled) {
  AddNode();
  TestNode& other = AddNode();
  holders = {{"a", {"127.0.0.2"}}, {"b", {"127.0.0.3"}}};
  Start();
  std::unique_ptr<node::JobHandle> handle =
      engine->Submit(Request(G("a", "cat", Both(kFromA, kToA)) + "," + G("b", "hang", kFromB)),
                     [](const JobResult&) { ADD_FAILURE(); });
  other.runner.WaitForHanging(1);
  while (nodes[0]->server->stats().holds == 0) std::this_thread::yield();
  handle.reset();
  engine->WaitUntilIdle();
  WaitUntilNothingIsHeld();
}

TEST_F(HeldTest, AStoredOutputThatIsLostIsWrittenAgain) {
  AddNode();
  AddNode();
  AddNode();
  holders = {{"a", {"127.0.0.2"}}, {"b", {"127.0.0.3"}}};
  Start();
  Meanwhile(1, 1, [&] { nodes[0]->server.reset(); });
  const JobResult result =
      RunWell(G("a", "cat", Both(kFromA, kToA)) + "," + G("b", "call cat", kFromB));
  EXPECT_EQ(store.objects["out/a"], "1");
  EXPECT_THAT(result.sessions[0].failed_nodes,
              ElementsAre(HasSubstr(NameOf(0) + ": what it held was lost: ")));
  EXPECT_NE(result.sessions[0].node, NameOf(0));
  EXPECT_EQ(result.sessions[0].stored.at(0).etag, "etag-of-1");
  EXPECT_THAT(result.sessions[1].failed_nodes, IsEmpty());
  WaitUntilNothingIsHeld();
}

TEST_F(HeldTest, AConnectionThatIsLostIsWrittenAgain) {
  AddNode();
  AddNode();
  AddNode();
  holders = {{"a", {"127.0.0.2"}}, {"b", {"127.0.0.3"}}, {"c", {"127.0.0.3"}}};
  Start();
  waiting = 1;
  nodes[0]->runner.on_call = nodes[2]->runner.on_call = [] {};
  Meanwhile(1, 2, [&] { nodes[0]->server.reset(); });
  const JobResult result =
      RunWell(G("m", "call cat", R"({"name": "stdin", "path": "swift://~/in/*"})",
                R"(, "connect": ["r"])") +
              "," + G("r", "cat", kStdout));
  EXPECT_EQ(body, "12255555");
  EXPECT_THAT(result.sessions[0].failed_nodes,
              ElementsAre(HasSubstr(NameOf(0) + ": what it held was lost: ")));
  for (const std::size_t i : {1U, 2U, 3U}) {
    EXPECT_THAT(result.sessions[i].failed_nodes, Each(Not(HasSubstr("was lost"))));
  }
  WaitUntilNothingIsHeld();
}

TEST_F(HeldTest, WhatMadeItIsMadeAgainToo) {
  AddNode();
  AddNode();
  TestNode& last = AddNode();
  holders = {{"a", {"127.0.0.2"}}, {"b", {"127.0.0.4"}}, {"c", {"127.0.0.4"}}};
  Start();
  Meanwhile(2, 2, [&] {
    nodes[0]->server.reset();
    nodes[1]->server.reset();
  });
  const JobResult result =
      RunWell(G("one", "cat", kFromA, R"(, "connect": ["two"])") + "," +
              G("two", "cat", R"({"name": "stdout", "path": "swift://~/out/a"})") + "," +
              G("three", "call cat", kFromB));
  EXPECT_EQ(store.objects["out/a"], "1");
  EXPECT_EQ(result.sessions[0].end, SessionEnd::kSucceeded);
  EXPECT_THAT(result.sessions[0].failed_nodes, Contains(HasSubstr("what it held was lost: ")));
  EXPECT_THAT(result.sessions[1].failed_nodes, Contains(HasSubstr("what it held was lost: ")));
  EXPECT_EQ(result.sessions[0].node, NameOf(2));
  EXPECT_EQ(last.runner.starts(), 3);
  WaitUntilNothingIsHeld();
}

TEST_F(HeldTest, AReplacedObjectIsNotMixedWithTheOldOne) {
  AddNode();
  AddNode();
  AddNode();
  holders = {{"a", {"127.0.0.2"}}, {"b", {"127.0.0.3"}}};
  Start();
  Meanwhile(1, 1, [&] {
    const std::lock_guard lock(store.mutex);
    store.objects["in/a"] = "another version";
    nodes[0]->server.reset();
  });
  const JobResult result =
      Run(G("a", "cat", Both(kFromA, kToA)) + "," + G("b", "call cat", kFromB));
  const Error error = result.error.value_or(Error{});
  EXPECT_EQ(error.code, ErrorCode::kConflict);
  EXPECT_THAT(error.message, HasSubstr("session a had to run again"));
  EXPECT_THAT(error.message, HasSubstr("was replaced meanwhile"));
  EXPECT_FALSE(store.objects.contains("out/a"));
  WaitUntilNothingIsHeld();
}

TEST_F(HeldTest, WhatIsLostAgainAndAgainFailsTheJob) {
  options.attempts = 1;
  AddNode();
  AddNode();
  holders = {{"a", {"127.0.0.2"}}, {"b", {"127.0.0.3"}}};
  Start();
  Meanwhile(1, 1, [&] { nodes[0]->server.reset(); });
  const JobResult result =
      Run(G("a", "cat", Both(kFromA, kToA)) + "," + G("b", "call cat", kFromB));
  const Error error = result.error.value_or(Error{});
  EXPECT_EQ(error.code, ErrorCode::kUnavailable);
  EXPECT_THAT(error.message, HasSubstr("what session a wrote was lost on 1 nodes"));
}

TEST_F(HeldTest, ItCountsWithTheJobsSpool) {
  config.limits.job_spool_bytes = 1000;
  AddNode();
  const JobResult result =
      Run(G("p", "flood:800", "", R"(, "connect": ["q"])") + "," +
          G("q", "take:800 out:x", "", R"(, "connect": ["r"])") + "," + G("r", "cat", kStdout) +
          "," + G("s", "flood:800", "", R"(, "connect": ["t"])") + "," + G("t", "cat", kStdout));
  const Error error = result.error.value_or(Error{});
  EXPECT_EQ(error.code, ErrorCode::kLimitExceeded);
  EXPECT_THAT(error.message, HasSubstr("job_spool_bytes"));
  WaitUntilNothingIsHeld();
}

TEST_F(HeldTest, AGangReadsIt) {
  AddNode();
  AddNode();
  RunWell(G("a", "out:1", "", R"(, "connect": ["b"])") + "," +
          G("b", "out:y take:1", kStdout, R"(, "connect": ["c"])") + "," +
          G("c", "out:z take:1", "", R"(, "connect": ["b"])"));
  EXPECT_EQ(body, "1z");
  EXPECT_EQ(local.starts(), 0);
}

TEST_F(HeldTest, ThisMachineReadsItIfItMustDoTheWork) {
  config.is_fallback = true;
  node_options.limits.timeout_seconds = 5;
  AddNode();
  RunWell(G("a", "cat", kFromA, R"(, "connect": ["b"], "timeout": 4)") + "," +
          G("b", "cat", kStdout, R"(, "timeout": 60)"));
  EXPECT_EQ(body, "1");
  EXPECT_EQ(local.starts(), 1);
  WaitUntilNothingIsHeld();
}

// What hostile holders do.

// A node on which session m runs, which reads "x"; what is said to be held are the bytes "evil".
ScriptedNode::Script HoldEvil() {
  return [](peer::SecureConnection& connection, const Offer& offer) {
    Begin(connection);
    EndReport end = Success(offer, 4);
    digest::Sha256 sha256;
    sha256.Add("evil");
    const std::string digest = sha256.Hex();
    for (std::string& each : end.digests) {
      if (!each.empty()) each = digest;
    }
    ASSERT_TRUE(connection.Send(FrameKind::kReport, Encode(end)).has_value());
    FrameKind kind = FrameKind::kReport;
    while (kind != FrameKind::kKeep) {
      const auto frame = connection.Receive(std::chrono::minutes(1));
      ASSERT_TRUE(frame.has_value() && frame->has_value());
      kind = frame->value_or(peer::Frame{}).kind;
    }
  };
}

class HostileHolderTest : public HeldTest {
 protected:
  HostileHolderTest() {
    options.log = node_options.log = [this](const std::string& line) {
      const std::lock_guard lock(log_mutex_);
      log_.push_back(line);
    };
  }
  ~HostileHolderTest() override {
    engine.reset();
    cluster.reset();
    scripted.clear();
    nodes.clear();  // all that log, before the log
  }
  // Session m runs there, and r reads what it says to hold.
  JobResult RunAfterHolder(const ScriptedNode::Orders& orders) {
    store.objects["in2/x"] = "evil";  // as the honest node will find
    AddScripted(HoldEvil(), orders);
    holders["y"] = {"127.0.0.3"};
    store.objects["in2/y"] = "";
    AddNode();
    JobResult result = RunWell(
        G("m", "cat", R"({"name": "stdin", "path": "swift://~/in2/x"})", R"(, "connect": ["r"])") +
        "," + G("r", "cat", R"({"name": "stdin", "path": "swift://~/in2/y"}, {"name": "stdout"})"));
    EXPECT_EQ(body, "evil");
    EXPECT_EQ(result.sessions[0].failed_nodes.size(), 1U);
    EXPECT_EQ(result.sessions[0].node, NameOf(1));
    WaitUntilNothingIsHeld();
    const std::lock_guard lock(log_mutex_);
    EXPECT_THAT(log_, Contains(HasSubstr("node " + NameOf(0) + ": what it held was lost: ")));
    // Who refused it says so, too.
    EXPECT_THAT(log_, Contains(HasSubstr("session r misses what nodes held for it: " + NameOf(0))));
    return result;
  }

  std::mutex log_mutex_;
  std::vector<std::string> log_;  // guarded by log_mutex_
};

TEST_F(HostileHolderTest, ThatSendsOtherBytesIsLeft) {
  const JobResult result =
      RunAfterHolder([](peer::SecureConnection& connection, const peer::Frame&) {
        ASSERT_TRUE(connection.Send(FrameKind::kData, peer::DataPayload(0, "good")).has_value());
        const StreamEnd end{0, 4, std::string(64, '0')};
        ASSERT_TRUE(connection.Send(FrameKind::kDigest, Encode(end)).has_value());
        Linger(connection);
      });
  EXPECT_THAT(result.sessions[0].failed_nodes[0],
              HasSubstr(NameOf(0) + ": what it sends is not what it held"));
}

TEST_F(HostileHolderTest, ThatSendsWithoutEndIsLeft) {
  const JobResult result =
      RunAfterHolder([](peer::SecureConnection& connection, const peer::Frame&) {
        const std::string piece = peer::DataPayload(0, std::string(65536, 'x'));
        while (connection.Send(FrameKind::kData, piece)) {
        }
      });
  EXPECT_THAT(result.sessions[0].failed_nodes[0], HasSubstr("more than the 4 bytes"));
}

TEST_F(HostileHolderTest, ThatHasForgottenIsLeft) {
  const JobResult result =
      RunAfterHolder([](peer::SecureConnection& connection, const peer::Frame& frame) {
        const Result<FetchOrder> order = ParseFetchOrder(frame.payload);
        ASSERT_TRUE(order.has_value());
        const Failure failure{{ErrorCode::kNotFound, "it holds no such bytes"}, {}, {order->hold}};
        ASSERT_TRUE(connection.Send(FrameKind::kFailed, Encode(failure)).has_value());
        Linger(connection);
      });
  EXPECT_THAT(result.sessions[0].failed_nodes[0], HasSubstr("it holds no such bytes"));
}

TEST_F(HostileHolderTest, ThatStoresSomethingElseIsLeft) {
  store.objects["in2/x"] = "evil";
  AddScripted(HoldEvil(), [](peer::SecureConnection& connection, const peer::Frame& frame) {
    EXPECT_TRUE(ParsePutOrder(frame.payload).has_value());
    ASSERT_TRUE(connection.Send(FrameKind::kStored, Encode(Stored{})).has_value());
    Linger(connection);
  });
  AddNode();
  const JobResult result = RunWell(G("m", "cat", R"({"name": "stdin", "path": "swift://~/in2/x"},
      {"name": "stdout", "path": "swift://~/out/x"})"));
  EXPECT_EQ(store.objects["out/x"], "evil");
  EXPECT_THAT(result.sessions[0].failed_nodes,
              ElementsAre(HasSubstr("it stored another number of bytes")));
}

TEST_F(HostileHolderTest, ThatNeverAnswersIsAskedTwice) {
  constexpr int kSessions = 5;
  std::latch all(kSessions);  // so that each has a connection of its own, which is idle then
  std::atomic<int> asked = 0;
  const auto count = [&](const peer::Frame& frame) {
    asked += frame.kind == FrameKind::kPut ? 1 : 0;
  };
  AddScripted(
      [&](peer::SecureConnection& connection, const Offer& offer) {
        all.arrive_and_wait();
        Begin(connection);
        EndReport end = Success(offer, 0);
        for (std::string& digest : end.digests) {
          if (!digest.empty()) digest = digest::Sha256().Hex();
        }
        ASSERT_TRUE(connection.Send(FrameKind::kReport, Encode(end)).has_value());
        // And what comes next, without an answer.
        while (true) {
          const auto got = connection.Receive(std::chrono::minutes(1));
          if (!got) return;
          const std::optional<peer::Frame>& frame = *got;
          if (!frame || frame->kind != FrameKind::kPut) continue;
          return count(*frame);
        }
      },
      [&](peer::SecureConnection&, const peer::Frame& frame) { count(frame); });
  store.objects["in2/x"] = "";
  const std::string reads = R"({"name": "stdin", "path": "swift://~/in2/x"})";
  AddNode();
  std::string groups = G("m", "cat", reads + R"(, {"name": "stdout", "path": "swift://~/out/x"})");
  for (int i = 1; i < kSessions; ++i) groups += "," + G("n" + std::to_string(i), "cat", reads);
  RunWell(groups);
  EXPECT_TRUE(store.objects.contains("out/x"));
  EXPECT_EQ(asked, 2);  // on one of those, and on a new one
}

TEST_F(HostileHolderTest, ThatHoldsWhatWasNotOfferedIsLeft) {
  const JobResult result = RunAfter([](peer::SecureConnection& connection, const Offer& offer) {
    Begin(connection);
    EndReport end = Success(offer, 0);
    end.digests[OutputOf(offer)] = std::string(64, 'e');
    ASSERT_TRUE(connection.Send(FrameKind::kReport, Encode(end)).has_value());
    Linger(connection);
  });
  EXPECT_THAT(result.sessions[0].failed_nodes[0],
              HasSubstr("it should not hold /dev/stdout and says otherwise"));
}

TEST_F(HostileHolderTest, ThatLostWhatWasNotOfferedIsLeft) {
  const JobResult result = RunAfter([](peer::SecureConnection& connection, const Offer&) {
    const Failure failure{{ErrorCode::kUnavailable, "gone"}, {}, {NewId()}};
    ASSERT_TRUE(connection.Send(FrameKind::kFailed, Encode(failure)).has_value());
    Linger(connection);
  });
  EXPECT_THAT(result.sessions[0].failed_nodes[0], HasSubstr("it lost what it was not offered"));
}

TEST_F(HostileHolderTest, ThatAlwaysFindsItsInputsLostIsLeft) {
  AddNode();
  const auto lie = [](peer::SecureConnection& connection, const Offer& offer) {
    Failure failure{{ErrorCode::kUnavailable, "gone"}, {}, {}};
    for (const OfferedChannel& channel : offer.channels) {
      if (channel.source == Source::kHeld) failure.lost.push_back(channel.hold);
    }
    EXPECT_TRUE(connection.Send(FrameKind::kFailed, Encode(failure)).has_value());
  };
  AddScripted(lie);
  holders = {{"a", {"127.0.0.2"}}, {"b", {"127.0.0.3"}}};
  const JobResult result = RunWell(G("m", "cat", kFromA, R"(, "connect": ["r"])") + "," +
                                   G("r", "cat", Both(kFromB, R"(, {"name": "stdout"})")));
  EXPECT_EQ(body, "221");
  EXPECT_EQ(result.sessions[1].node, NameOf(0));
  EXPECT_THAT(result.sessions[0].failed_nodes, Contains(HasSubstr("what it held was lost: gone")));
}

}  // namespace
}  // namespace zerocloud::remote
