// Gangs on nodes: sessions that write to each other while they run.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <future>
#include <latch>
#include <mutex>
#include <string>
#include <thread>

#include "middleware/remote/testing/cluster_test.h"
#include "middleware/remote/wire_holds.h"
#include "middleware/remote/wire_streams.h"

namespace zerocloud::remote {
namespace {

using testing::AllOf;
using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

std::string A(std::string_view args, std::string_view devices = "") {
  return G("a", args, devices, R"(, "connect": ["b"])");
}
std::string B(std::string_view args, std::string_view devices = "") {
  return G("b", args, devices, R"(, "connect": ["a"])");
}
std::string Near(std::string_view object) {
  return R"({"name": "stdin", "path": "swift://~/in/)" + std::string(object) +
         R"("}, {"name": "stdout"})";
}

// Until it may go, or the proxy has hung up.
void AwaitGo(peer::SecureConnection& connection) {
  while (true) {
    const auto received = connection.Receive(std::chrono::minutes(1));
    const auto frame = received.value_or(std::nullopt);
    if (!frame || frame->kind == FrameKind::kGo) return;
  }
}

class GangTest : public ClusterTest {
 protected:
  GangTest() {
    node_options.log = [this](const std::string& line) {
      const std::lock_guard lock(log_mutex_);
      log_.push_back(line);
    };
    options.gang_wait = std::chrono::milliseconds(0);
  }
  ~GangTest() override {
    engine.reset();
    cluster.reset();
    scripted.clear();  // which talk to the nodes
    nodes.clear();     // which log, before the log
  }
  // Has sessions that read an object run on that node.
  void Pin(const std::string& object, std::size_t node) {
    holders[object] = {options.nodes[node].host};
  }
  std::vector<std::string> Log() {
    const std::lock_guard lock(log_mutex_);
    return log_;
  }

  // A node that refuses says so, at the latest when it has hung up.
  void AwaitLog(const std::string& words) {
    const auto has_words = [&](const std::string& line) { return line.contains(words); };
    const auto until = std::chrono::steady_clock::now() + std::chrono::seconds(30);
    while (std::ranges::none_of(Log(), has_words)) {
      if (std::chrono::steady_clock::now() > until) {
        FAIL() << "no node says \"" << words << "\"; they say " << testing::PrintToString(Log());
      }
      std::this_thread::yield();
    }
  }

  std::mutex log_mutex_;
  std::vector<std::string> log_;  // guarded by log_mutex_
};

TEST_F(GangTest, TalksWithinANodeAndBetweenNodes) {
  AddNode();
  AddNode();
  for (const std::size_t other : {0U, 1U}) {
    Pin("a", 0);
    Pin("b", other);
    const JobResult result = RunWell(A("out:ping take:5 say:a", Near("a")) + "," +
                                     B("out:pong! take:4 say:b", Near("b")));
    EXPECT_EQ(body, "pong!apingb");
    EXPECT_EQ(result.sessions[0].node, NameOf(0));
    EXPECT_EQ(result.sessions[1].node, NameOf(other));
    EXPECT_THAT(result.sessions[0].failed_nodes, IsEmpty());
  }
  EXPECT_EQ(local.starts(), 0);
  EXPECT_THAT(Log(), IsEmpty());
}

TEST_F(GangTest, StreamsFarMoreThanPipesAndCreditHold) {
  AddNode();
  AddNode();
  Pin("a", 0);
  Pin("b", 1);
  RunWell(A("flood:5000000 take:3000000 say:a", Near("a")) + "," +
          B("take:5000000 flood:3000000 say:b", Near("b")));
  EXPECT_EQ(body.size(), 8'000'002U);
}

TEST_F(GangTest, AReaderThatEndsEarlyStopsNobody) {
  AddNode();
  AddNode();
  Pin("a", 0);
  for (const std::size_t other : {0U, 1U}) {
    Pin("b", other);
    RunWell(A("flood:3000000 say:a", Near("a")) + "," + B("say:b", Near("b")));
    EXPECT_EQ(body, "ab");
  }
}

TEST_F(GangTest, StartsWholeOrEndsWithTheReason) {
  node_options.slots = 1;
  AddNode();
  AddNode();
  const Error error =
      Run(G("m", "out:x", "", R"(, "count": 3, "connect": ["m"])")).error.value_or(Error{});
  EXPECT_EQ(error.code, ErrorCode::kUnavailable);
  EXPECT_THAT(error.message, HasSubstr("the gang has 3 sessions, and all nodes together 2 slots"));
  EXPECT_EQ(nodes[0]->runner.starts() + nodes[1]->runner.starts(), 0);
}

TEST_F(GangTest, RunsBesideTheProxyIfItMay) {
  node_options.slots = 1;
  config.is_fallback = true;
  AddNode();
  RunWell(A("out:x take:1 say:a", kStdout) + "," + B("out:y take:1 say:b", kStdout));
  EXPECT_EQ(body, "yaxb");
  EXPECT_EQ(local.starts(), 2);
}

// Another proxy's session has a slot: nobody of the gang starts, and it tells so; or it waits.
TEST_F(GangTest, WaitsForSlotsThatOthersHave) {
  node_options.slots = 1;
  TestNode& first = AddNode();
  AddNode();
  std::latch goes_on(1);
  std::latch runs(1);
  first.runner.on_call = [&] {
    runs.count_down();
    goes_on.wait();
  };
  auto other_cluster = Nodes::Start(options, *keys).value();
  auto other = node::Engine::Start(config, store, local, other_cluster.get()).value();
  Pin("a", 0);
  std::promise<JobResult> promise;
  const auto handle = other->Submit(Request(G("g", "call", Near("a"))), [&](JobResult result) {
    promise.set_value(std::move(result));
  });
  runs.wait();
  const std::string gang = A("out:x take:1 say:a", kStdout) + "," + B("out:y take:1", kStdout);
  const Error error = Run(gang).error.value_or(Error{});
  EXPECT_EQ(error.code, ErrorCode::kUnavailable);
  EXPECT_THAT(error.message, HasSubstr("found no 2 free slots within 0 s"));
  EXPECT_THAT(error.message, HasSubstr("none of its 1 slots is free"));
  EXPECT_EQ(nodes[1]->runner.starts(), 0);

  engine.reset();
  cluster.reset();
  options.gang_wait = std::chrono::minutes(10);
  Start();
  std::promise<JobResult> second;
  const auto waiting =
      engine->Submit(Request(gang), [&](JobResult result) { second.set_value(std::move(result)); });
  goes_on.count_down();
  EXPECT_FALSE(promise.get_future().get().error.has_value());
  EXPECT_FALSE(second.get_future().get().error.has_value());
  EXPECT_EQ(nodes[1]->runner.starts(), 1);
}

// Two gangs of two proxies want both slots of both nodes, again and again.
TEST_F(GangTest, TwoNeverWaitForEachOther) {
  node_options.slots = 1;
  options.gang_wait = std::chrono::minutes(10);
  AddNode();
  AddNode();
  Start();
  auto other_cluster = Nodes::Start(options, *keys).value();
  auto other = node::Engine::Start(config, store, local, other_cluster.get()).value();
  const std::string gang = A("out:x take:1", kStdout) + "," + B("out:y take:1", kStdout);
  for (int round = 0; round < 5; ++round) {
    std::promise<JobResult> ours;
    std::promise<JobResult> theirs;
    const auto first =
        engine->Submit(Request(gang), [&](JobResult result) { ours.set_value(std::move(result)); });
    const auto second = other->Submit(
        Request(gang), [&](JobResult result) { theirs.set_value(std::move(result)); });
    EXPECT_FALSE(ours.get_future().get().error.has_value());
    EXPECT_FALSE(theirs.get_future().get().error.has_value());
  }
}

TEST_F(GangTest, StartsAnewWithoutANodeThatDies) {
  options.gang_wait = std::chrono::minutes(10);
  AddNode();
  AddNode();
  AddScripted([](peer::SecureConnection& connection, const Offer&) {
    for (const FrameKind kind : {FrameKind::kAccepted, FrameKind::kReady}) {
      const bool is_accepted = kind == FrameKind::kAccepted;
      EXPECT_TRUE(connection.Send(kind, is_accepted ? Encode(Accepted{}) : "").has_value());
    }
    AwaitGo(connection);
    EXPECT_TRUE(connection.Send(FrameKind::kStarted, {}).has_value());
  });
  Pin("a", 0);
  Pin("b", 2);
  const JobResult result =
      RunWell(A("out:x take:1 say:a", Near("a")) + "," + B("out:y take:1 say:b", Near("b")));
  EXPECT_EQ(body, "yaxb");
  EXPECT_NE(result.sessions[1].node, NameOf(2));
  EXPECT_THAT(result.sessions[0].failed_nodes, Contains(HasSubstr(NameOf(2))));
  EXPECT_EQ(result.sessions[0].failed_nodes, result.sessions[1].failed_nodes);
}

// What a node does that cannot read an input of the session for it, and has refused it.
void RefuseFor(const std::string& alias, peer::SecureConnection& connection) {
  const Failure failure{.error = {ErrorCode::kUnavailable, "its disk"}, .alias = alias};
  EXPECT_TRUE(connection.Send(FrameKind::kFailed, Encode(failure)).has_value());
}

TEST_F(GangTest, StartsAnewWhereTheInputCanBeRead) {
  options.gang_wait = std::chrono::minutes(10);
  AddNode();
  AddNode();
  AddScripted([](peer::SecureConnection& connection, const Offer&) {
    RefuseFor("/dev/stdin", connection);
  });
  Pin("a", 0);
  Pin("b", 2);
  const JobResult result =
      RunWell(A("out:x take:1 say:a", Near("a")) + "," + B("out:y take:1 say:b", Near("b")));
  EXPECT_EQ(body, "yaxb");
  EXPECT_EQ(scripted.front()->offers(), 1);
  EXPECT_THAT(result.sessions[1].failed_nodes, ElementsAre(HasSubstr(NameOf(2))));
}

TEST_F(GangTest, TriesANodeAgainIfThereIsNoOtherAndBlamesTheInput) {
  options.gang_wait = std::chrono::minutes(10);
  options.attempts = 2;
  node_options.slots = 1;
  AddNode();
  AddScripted([](peer::SecureConnection& connection, const Offer&) {
    RefuseFor("/dev/stdin", connection);
  });
  Pin("a", 0);
  Pin("b", 1);
  const Error error = Run(A("out:x take:1", Near("a")) + "," + B("out:y take:1", Near("b")))
                          .error.value_or(Error{});
  EXPECT_EQ(scripted.front()->offers(), 2);
  EXPECT_THAT(error.message, AllOf(HasSubstr("its disk"), HasSubstr("/1/devices/0")));
}

TEST_F(GangTest, AFailingSessionFailsTheJobAndEndsTheOthers) {
  AddNode();
  AddNode();
  Pin("a", 0);
  Pin("b", 1);
  const JobResult result = Run(A("take:1 hang", Near("a")) + "," + B("out:x exit:7", Near("b")));
  const Error error = result.error.value_or(Error{});
  EXPECT_THAT(error.message, HasSubstr("session b"));
  EXPECT_THAT(error.message, HasSubstr("7"));
  EXPECT_EQ(result.sessions[0].end, node::SessionEnd::kStopped);
}

TEST_F(GangTest, EndsWhenItsJobIsCancelled) {
  AddNode();
  AddNode();
  Pin("a", 0);
  Pin("b", 1);
  Start();
  auto handle = engine->Submit(Request(A("hang", Near("a")) + "," + B("hang", Near("b"))),
                               [](const JobResult&) { ADD_FAILURE() << "it was cancelled"; });
  nodes[0]->runner.WaitForHanging(1);
  nodes[1]->runner.WaitForHanging(1);
  handle.reset();
  engine->WaitUntilIdle();
  while (nodes[0]->runner.alive() + nodes[1]->runner.alive() > 0) std::this_thread::yield();
}

// What hostile nodes do to a gang: the job ends, and tells.

// A gang of which "b" is on a node that does what the script says.
class HostileGangTest : public GangTest {
 protected:
  Error RunWith(const ScriptedNode::Script& script) {  // which is there to its end
    options.attempts = 1;
    AddNode();
    AddScripted(script);
    Pin("a", 0);
    Pin("b", 1);
    return Run(A("out:x hang", Near("a")) + "," + B("out:y take:1", Near("b")))
        .error.value_or(Error{});
  }
  static void Accept(peer::SecureConnection& connection) {
    EXPECT_TRUE(connection.Send(FrameKind::kAccepted, Encode(Accepted{false})).has_value());
  }
  // A connection to the honest node, in the name of nobody or of the proxy.
  std::unique_ptr<peer::SecureConnection> ConnectAs(const std::string& proxy) {
    auto made = peer::SecureConnection::Connect(options.nodes[0].host, options.nodes[0].port, *keys,
                                                options.patience);
    EXPECT_TRUE(made.has_value());
    EXPECT_TRUE((*made)->Send(FrameKind::kHello, Encode(Hello{.proxy = proxy})).has_value());
    return std::move(*made);
  }
  static std::string StreamTo(const Offer& offer) {
    for (const OfferedChannel& channel : offer.channels) {
      if (channel.source == Source::kWrite) return channel.stream;
    }
    return {};
  }
};

TEST_F(HostileGangTest, ReadyTwiceIsNotBelieved) {
  const Error twice = RunWith([](peer::SecureConnection& connection, const Offer&) {
    Accept(connection);
    EXPECT_TRUE(connection.Send(FrameKind::kReady, {}).has_value());
    EXPECT_TRUE(connection.Send(FrameKind::kReady, {}).has_value());
    AwaitGo(connection);
  });
  EXPECT_THAT(twice.message, HasSubstr("it is ready for what was not offered"));
}

TEST_F(HostileGangTest, StartedBeforeTheOthersIsNotBelieved) {
  const Error alone = RunWith([](peer::SecureConnection& connection, const Offer&) {
    Accept(connection);
    EXPECT_TRUE(connection.Send(FrameKind::kStarted, {}).has_value());
    AwaitGo(connection);
  });
  EXPECT_THAT(alone.message, HasSubstr("it started one of a gang before the others"));
}

TEST_F(HostileGangTest, AStreamWithAWrongDigestEndsTheSession) {
  const Error error = RunWith([this](peer::SecureConnection& connection, const Offer& offer) {
    Accept(connection);
    EXPECT_TRUE(connection.Send(FrameKind::kReady, {}).has_value());
    AwaitGo(connection);
    EXPECT_TRUE(connection.Send(FrameKind::kStarted, {}).has_value());
    const auto stream = ConnectAs(cluster->proxy());
    EXPECT_TRUE(stream->Send(FrameKind::kStream, Encode(StreamOrder{StreamTo(offer)})).has_value());
    EXPECT_TRUE(stream->Send(FrameKind::kData, peer::DataPayload(0, "y")).has_value());
    EXPECT_TRUE(stream->Send(FrameKind::kDigest, Encode(StreamEnd{0, 1, std::string(64, '0')}))
                    .has_value());
    AwaitGo(connection);  // until it is closed
  });
  AwaitLog("is not what the digest at its end says");
  EXPECT_EQ(error.code, ErrorCode::kUnavailable);
}

TEST_F(HostileGangTest, MoreThanWasGrantedEndsTheSession) {
  RunWith([this](peer::SecureConnection& connection, const Offer& offer) {
    Accept(connection);
    EXPECT_TRUE(connection.Send(FrameKind::kReady, {}).has_value());
    AwaitGo(connection);
    const auto stream = ConnectAs(cluster->proxy());
    EXPECT_TRUE(stream->Send(FrameKind::kStream, Encode(StreamOrder{StreamTo(offer)})).has_value());
    const std::string piece(100'000, 'y');
    // Nobody reads that much, so nothing more is granted.
    for (int i = 0; i < 10; ++i) {
      if (!stream->Send(FrameKind::kData, peer::DataPayload(0, piece))) break;
    }
    AwaitGo(connection);
  });
  AwaitLog("it sent more of a stream than it was granted");
}

TEST_F(HostileGangTest, AStreamIsGivenOnceAndInTheProxysNameOnly) {
  std::promise<void> has_asked;
  RunWith([&, this](peer::SecureConnection& connection, const Offer& offer) {
    Accept(connection);
    EXPECT_TRUE(connection.Send(FrameKind::kReady, {}).has_value());
    AwaitGo(connection);
    const auto refused = [&](const std::string& proxy, const std::string& id) {
      const auto stream = ConnectAs(proxy);
      EXPECT_TRUE(stream->Send(FrameKind::kStream, Encode(StreamOrder{id})).has_value());
      while (true) {
        const auto received = stream->Receive(std::chrono::minutes(1));
        if (!received) return true;
        const std::optional<peer::Frame>& frame = *received;
        if (frame && frame->kind == FrameKind::kCredit) return false;
      }
    };
    EXPECT_TRUE(refused(NewId(), StreamTo(offer)));
    EXPECT_TRUE(refused(cluster->proxy(), NewId()));
    EXPECT_FALSE(refused(cluster->proxy(), StreamTo(offer)));
    EXPECT_TRUE(refused(cluster->proxy(), StreamTo(offer)));
    has_asked.set_value();
  });
  has_asked.get_future().wait();  // it needs the cluster until then
  AwaitLog("it asked for a stream that does not wait here");
}

}  // namespace
}  // namespace zerocloud::remote
