// What a node does for those who ask about what it holds, friends and strangers, seen over its
// wire.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "middleware/remote/hold_transfer.h"
#include "middleware/remote/testing/bare_proxy.h"
#include "middleware/remote/wire_holds.h"

namespace zerocloud::remote {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

class HoldOrdersTest : public BareProxyTest {
 protected:
  static Failure Refusal(peer::SecureConnection& connection, FrameKind kind,
                         const std::string& payload) {
    EXPECT_TRUE(connection.Send(kind, payload).has_value());
    const peer::Frame frame = Next(connection);
    EXPECT_EQ(frame.kind, FrameKind::kFailed);
    return ParseFailure(frame.payload).value_or(Failure{});
  }
  // Runs a session that writes "text" and has it held under that id; up to its report.
  void RunAndHold(peer::SecureConnection& connection, const std::string& id) {
    Offer offer = MakeOffer("say:text");
    offer.channels[1].source = Source::kHold;
    offer.channels[1].hold = id;
    StartSession(connection, offer);
    ASSERT_EQ(Next(connection).kind, FrameKind::kStarted);
    const peer::Frame report = Next(connection);
    ASSERT_EQ(report.kind, FrameKind::kReport) << report.payload;
    const Result<EndReport> end = ParseEndReport(report.payload);
    ASSERT_TRUE(end.has_value());
    EXPECT_THAT(end->digests, ElementsAre("", DigestOf("text"), "", ""));
  }
  // The same, and the proxy counts on it.
  Connection Hold(const std::string& proxy, const std::string& id) {
    Connection connection = ConnectAs(proxy);
    RunAndHold(*connection, id);
    EXPECT_TRUE(connection->Send(FrameKind::kKeep, {}).has_value());
    return connection;
  }
  static PutOrder Put(const std::string& id) {
    return {id,
            {.account = "AUTH_me", .user = "me", .token = "t"},
            {{"AUTH_me", "out", "o"}, "text/plain", {}}};
  }
  const std::string proxy_ = NewId();
  const std::string id_ = NewId();
};

TEST_F(HoldOrdersTest, ItIsGivenToWhoKnowsBothIds) {
  const Connection owner = Hold(proxy_, id_);
  Result<UniqueFd> file = node::Spool::Open(directory_, 1000).value()->NewFile();
  ASSERT_TRUE(file.has_value());
  const Connection node = ConnectAs(proxy_);
  const FetchEnd end =
      FetchHold(*node, {id_, 4, DigestOf("text")}, file->get(), std::chrono::minutes(1));
  EXPECT_EQ(end.kind, FetchEnd::Kind::kWhole) << end.error.message;
  std::array<char, 5> bytes{};
  EXPECT_EQ(::pread(file->get(), bytes.data(), bytes.size(), 0), 4);
  EXPECT_EQ(std::string_view(bytes.data()), "text");
}

TEST_F(HoldOrdersTest, ItIsGivenToNoOtherProxy) {
  const Connection owner = Hold(proxy_, id_);
  const Connection stranger = ConnectAs(NewId());
  EXPECT_THAT(Refusal(*stranger, FrameKind::kFetch, Encode(FetchOrder{id_})).lost,
              ElementsAre(id_));
  EXPECT_THAT(Refusal(*stranger, FrameKind::kPut, Encode(Put(id_))).lost, ElementsAre(id_));
  ASSERT_TRUE(stranger->Send(FrameKind::kDrop, Encode(HoldList{{id_}})).has_value());
  // Answered after the drop.
  EXPECT_THAT(Refusal(*stranger, FrameKind::kFetch, Encode(FetchOrder{id_})).lost,
              ElementsAre(id_));
  EXPECT_FALSE(store.objects.contains("out/o"));
  EXPECT_EQ(nodes[0]->server->stats().holds, 1U);
}

TEST_F(HoldOrdersTest, WhatIsNotHeldIsNotStored) {
  const Connection owner = Hold(proxy_, id_);
  EXPECT_THAT(Refusal(*owner, FrameKind::kPut, Encode(Put(std::string(32, '0')))).lost,
              ElementsAre(std::string(32, '0')));
  EXPECT_FALSE(store.objects.contains("out/o"));
}

TEST_F(HoldOrdersTest, ItIsStoredAsOftenAsAsked) {
  const Connection owner = Hold(proxy_, id_);
  for (int i = 0; i < 2; ++i) {
    ASSERT_TRUE(owner->Send(FrameKind::kPut, Encode(Put(id_))).has_value());
    const peer::Frame frame = Next(*owner);
    ASSERT_EQ(frame.kind, FrameKind::kStored);
    const Result<Stored> stored = ParseStored(frame.payload);
    EXPECT_EQ(stored ? stored->info.etag : "", "etag-of-4");
  }
  EXPECT_EQ(store.objects["out/o"], "text");
}

TEST_F(HoldOrdersTest, TheStoresRefusalIsTold) {
  store.unstorable.insert("out/o");
  const Connection owner = Hold(proxy_, id_);
  const Failure failure = Refusal(*owner, FrameKind::kPut, Encode(Put(id_)));
  EXPECT_EQ(failure.error, (Error{ErrorCode::kUnavailable, "disk full"}));
  EXPECT_TRUE(failure.lost.empty());
}

TEST_F(HoldOrdersTest, WhatNobodyCountsOnIsForgotten) {
  Connection owner = ConnectAs(proxy_);
  RunAndHold(*owner, id_);
  EXPECT_EQ(nodes[0]->server->stats().holds, 1U);
  owner.reset();  // without a keep
  while (nodes[0]->server->stats().holds > 0) std::this_thread::yield();
}

TEST_F(HoldOrdersTest, AProxyThatIsGoneIsForgotten) {
  // Long enough for a session on any machine.
  options.patience.silence = std::chrono::seconds(5);
  nodes.clear();
  options.nodes.clear();
  AddNode();
  Connection owner = Hold(proxy_, id_);
  const NodeServer& server = *nodes[0]->server;
  while (server.stats().holds > 0 || server.stats().spool_bytes > 0) std::this_thread::yield();
}

TEST_F(HoldOrdersTest, NothingIsAskedBeforeTheAnswer) {
  const Connection owner = Hold(proxy_, id_);
  {
    const std::lock_guard lock(store.mutex);  // the first is not answered before
    for (int i = 0; i < 3; ++i) {
      ASSERT_TRUE(owner->Send(FrameKind::kPut, Encode(Put(id_))).has_value());
    }
  }
  EXPECT_THAT(LastLog(*owner), HasSubstr("it sent a put frame before its put was answered"));
}

TEST_F(HoldOrdersTest, HeartbeatsAreNoBytes) {
  const auto only_say_so = [this](peer::SecureConnection& connection, const peer::Frame&) {
    while (connection.Send(FrameKind::kHeartbeat, {}) && !scripted.front()->WaitForStop(10)) {
    }
  };
  const ScriptedNode& holder = AddScripted({}, only_say_so);
  auto made = peer::SecureConnection::Connect(options.nodes[1].host, holder.port(), *keys,
                                              options.patience);
  ASSERT_TRUE(made.has_value());
  const FetchEnd end =
      FetchHold(**made, {id_, 70'000, DigestOf("")}, -1, std::chrono::milliseconds(200));
  EXPECT_EQ(end.kind, FetchEnd::Kind::kBroken);
  EXPECT_EQ(end.error.message, "it has not sent the 70000 bytes that it holds within 1200 ms");
  made->reset();  // or the holder would go on
}

TEST_F(HoldOrdersTest, NobodyAsksWithoutAName) {
  const Connection nobody = ConnectAs("");
  EXPECT_THAT(ComplaintAbout(*nobody, FrameKind::kFetch, Encode(FetchOrder{id_})),
              HasSubstr("it did not say for which proxy it asks"));
}

TEST_F(HoldOrdersTest, NobodyAsksBeforeAGreeting) {
  const Connection nobody = Connect();
  EXPECT_THAT(ComplaintAbout(*nobody, FrameKind::kPut, Encode(Put(id_))),
              HasSubstr("a put frame where there is none"));
}

TEST_F(HoldOrdersTest, NonsenseIsRefused) {
  const Connection owner = ConnectAs(proxy_);
  EXPECT_THAT(ComplaintAbout(*owner, FrameKind::kDrop, R"({"holds": ["../../etc"]})"),
              HasSubstr("a wrong list of holds"));
}

}  // namespace
}  // namespace zerocloud::remote
