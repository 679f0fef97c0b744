// What a node does with sessions of proxies that send too much, too little, or go.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <future>
#include <string>

#include "middleware/remote/testing/bare_proxy.h"
#include "middleware/remote/wire_holds.h"

namespace zerocloud::remote {
namespace {

using testing::HasSubstr;

class NodeSessionTest : public BareProxyTest {
 protected:
  // What it says when all outputs have come.
  static peer::Frame End(peer::SecureConnection& connection) {
    while (true) {
      peer::Frame frame = Next(connection);
      if (frame.kind != FrameKind::kData && frame.kind != FrameKind::kDigest &&
          frame.kind != FrameKind::kStarted) {
        return frame;
      }
    }
  }
  static Failure FailureOf(const peer::Frame& frame) {
    EXPECT_EQ(frame.kind, FrameKind::kFailed) << frame.payload;
    return ParseFailure(frame.payload).value_or(Failure{});
  }
  const std::string proxy_ = NewId();
};

TEST_F(NodeSessionTest, AnInputThatDoesNotFitIsReadPast) {
  node_options.spool_bytes = 1000;
  ReplaceNode();
  const Connection proxy = ConnectAs(proxy_);
  Offer offer = MakeOffer("say:text");
  AddChannel(offer, "/dev/in/x", Source::kBytes, {1, 5000, 0, 0}).size = 5000;
  StartSession(*proxy, offer);
  EXPECT_THAT(FailureOf(End(*proxy)).error.message, HasSubstr("spool_bytes is 1000"));
  EXPECT_EQ(nodes[0]->runner.starts(), 0);
  StartSession(*proxy, MakeOffer("say:text"));
  EXPECT_EQ(End(*proxy).kind, FrameKind::kReport);
}

TEST_F(NodeSessionTest, WhatIsHeldAndWhatIsSentMustFitTogether) {
  node_options.spool_bytes = 1000;
  ReplaceNode();
  const Connection proxy = ConnectAs(proxy_);
  Offer offer = MakeOffer("flood:600");
  AddChannel(offer, "/dev/out/x", Source::kOutput, {0, 0, 1000, 1000});
  AddChannel(offer, "/dev/out/y", Source::kHold, {0, 0, 1000, 1000}).hold = NewId();
  StartSession(*proxy, offer);
  EXPECT_THAT(FailureOf(End(*proxy)).error.message, HasSubstr("spool_bytes is 1000"));
  // Nothing of it is left.
  offer = MakeOffer("flood:600");
  AddChannel(offer, "/dev/out/y", Source::kHold, {0, 0, 1000, 1000}).hold = NewId();
  StartSession(*proxy, offer);
  EXPECT_EQ(End(*proxy).kind, FrameKind::kReport);
}

TEST_F(NodeSessionTest, HeartbeatsBringNoStreamToItsEnd) {
  options.patience.silence = std::chrono::seconds(1);
  ReplaceNode();
  const Connection proxy = ConnectAs(proxy_);
  ASSERT_TRUE(proxy->Send(FrameKind::kStart, Encode(MakeOffer("say:text"))).has_value());
  EXPECT_THAT(LastLogInSpiteOfHeartbeats(*proxy),
              HasSubstr("it has not sent all of a stream of 9 bytes within 1000 ms"));
}

TEST_F(NodeSessionTest, HeartbeatsDoNotReplaceTheGo) {
  node_options.opening = std::chrono::milliseconds(100);
  ReplaceNode();
  const Connection proxy = ConnectAs(proxy_);
  Offer offer = MakeOffer("say:text");
  offer.is_of_gang = true;
  StartSession(*proxy, offer);
  EXPECT_EQ(Next(*proxy).kind, FrameKind::kReady);
  EXPECT_THAT(LastLogInSpiteOfHeartbeats(*proxy), HasSubstr("it has not said go within 100 ms"));
  EXPECT_EQ(nodes[0]->runner.starts(), 0);
}

TEST_F(NodeSessionTest, HeartbeatsDoNotReplaceTheKeep) {
  node_options.opening = std::chrono::milliseconds(100);
  ReplaceNode();
  const Connection proxy = ConnectAs(proxy_);
  Offer offer = MakeOffer("out:text");
  AddChannel(offer, "/dev/out/y", Source::kHold, {0, 0, 1000, 1000}).hold = NewId();
  StartSession(*proxy, offer);
  EXPECT_EQ(End(*proxy).kind, FrameKind::kReport);
  EXPECT_THAT(LastLogInSpiteOfHeartbeats(*proxy), HasSubstr("it has not said keep within 100 ms"));
}

class CountingStore : public node::FakeStore {
 public:
  std::atomic<int> opened = 0;
  Result<store::OpenedObject> Open(const store::Caller& caller,
                                   const store::ObjectPath& path) override {
    ++opened;
    return FakeStore::Open(caller, path);
  }
};

TEST_F(NodeSessionTest, NothingMoreIsOpenedForAProxyThatIsGone) {
  CountingStore counting;
  counting.objects = store.objects;
  node_store = &counting;
  options.patience.silence = std::chrono::seconds(5);
  ReplaceNode();
  std::promise<void> is_asked;
  AddScripted({}, [&](peer::SecureConnection& connection, const peer::Frame&) {
    is_asked.set_value();
    Linger(connection);
  });
  Connection proxy = ConnectAs(proxy_);
  Offer offer = MakeOffer("cat");
  OfferedChannel& held = AddChannel(offer, "/dev/in/a", Source::kHeld, {1, 5, 0, 0});
  held.size = 5;
  held.hold = NewId();
  held.holder = NameOf(1);
  held.sha256 = DigestOf("");
  AddChannel(offer, "/dev/in/b", Source::kObject, {1, 5, 0, 0}).path = {"AUTH_me", "in", "a"};
  StartSession(*proxy, offer);
  is_asked.get_future().wait();
  proxy.reset();
  while (nodes[0]->server->stats().sessions > 0) std::this_thread::yield();
  EXPECT_EQ(counting.opened, 0);
  EXPECT_EQ(nodes[0]->runner.starts(), 0);
  nodes.clear();  // before its store
}

// Its object "b" is fetched when it is read, and then it is not to be had.
class LateStore : public node::FakeStore {
 public:
  Result<store::OpenedObject> Open(const store::Caller& caller,
                                   const store::ObjectPath& path) override {
    Result<store::OpenedObject> opened = FakeStore::Open(caller, path);
    if (!opened) return opened;
    opened->late_failure = std::make_shared<store::LateFailure>();
    if (path.object == "b") opened->late_failure->Set({ErrorCode::kNotFound, "it is gone"});
    return opened;
  }
};

TEST_F(NodeSessionTest, WhatIsNotToBeHadLaterIsBlamedOnItsOwnInput) {
  LateStore late;
  late.objects = store.objects;
  node_store = &late;
  ReplaceNode();
  const Connection proxy = ConnectAs(proxy_);
  Offer offer = MakeOffer("broken");
  for (const char* name : {"a", "b", "c"}) {
    AddChannel(offer, std::string("/dev/in/") + name, Source::kObject, {1, 9, 0, 0}).path = {
        "AUTH_me", "in", name};
  }
  StartSession(*proxy, offer);
  const Failure failure = FailureOf(End(*proxy));
  EXPECT_EQ(failure.alias, "/dev/in/b");
  EXPECT_EQ(failure.error, (Error{ErrorCode::kNotFound, "session s: it is gone"}));
  nodes.clear();  // before its store
}

}  // namespace
}  // namespace zerocloud::remote
