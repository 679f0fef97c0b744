#include "middleware/remote/node_server.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <mutex>
#include <string>
#include <vector>

#include "middleware/remote/testing/cluster_test.h"

namespace zerocloud::remote {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

// What hostile proxies do to a node.
class NodeServerTest : public ClusterTest {
 protected:
  NodeServerTest() {
    node_options.log = [this](const std::string& line) {
      const std::lock_guard lock(log_mutex_);
      log_.push_back(line);
    };
    AddNode();
    auto made = peer::SecureConnection::Connect(options.nodes[0].host, options.nodes[0].port, *keys,
                                                options.patience);
    EXPECT_TRUE(made.has_value());
    if (made) connection = std::move(*made);
  }
  // What the node logs when it hangs up because of that frame.
  std::string RefusalOf(FrameKind kind, const std::string& payload) {
    EXPECT_TRUE(connection->Send(kind, payload).has_value());
    Linger(*connection);
    nodes[0]->server.reset();
    const std::lock_guard lock(log_mutex_);
    return log_.empty() ? "" : log_.back();
  }
  FrameKind NextKind() {
    const auto got = connection->Receive(std::chrono::minutes(1));
    return got.value_or(std::nullopt).value_or(peer::Frame{}).kind;
  }
  void Greet() {
    ASSERT_TRUE(connection->Send(FrameKind::kHello, Encode(Hello{})).has_value());
    EXPECT_EQ(NextKind(), FrameKind::kHello);
  }

  std::unique_ptr<peer::SecureConnection> connection;
  std::mutex log_mutex_;
  std::vector<std::string> log_;  // guarded by log_mutex_
};

TEST_F(NodeServerTest, RefusesFramesThatHaveNoPlace) {
  EXPECT_THAT(RefusalOf(FrameKind::kReport, "{}"), HasSubstr("a report frame where there is none"));
}

TEST_F(NodeServerTest, RefusesAnOfferBeforeAGreeting) {
  EXPECT_THAT(RefusalOf(FrameKind::kStart, "{}"), HasSubstr("a start frame where there is none"));
}

TEST_F(NodeServerTest, RefusesAnOfferThatIsNone) {
  Greet();
  EXPECT_THAT(RefusalOf(FrameKind::kStart, R"({"session": 1})"), HasSubstr("a wrong offer"));
}

TEST_F(NodeServerTest, RefusesBytesThatAreNotThoseOffered) {
  Greet();
  Offer offer;
  offer.session = "s";
  offer.sha256 = std::string(64, 'a');
  offer.program_size = 5;
  offer.timeout = std::chrono::seconds(1);
  for (const char* alias : {"/dev/stdin", "/dev/stdout", "/dev/stderr"}) {
    auto& channel = offer.channels.emplace_back();
    channel.alias = alias;
    channel.limits = {1, 1, 0, 0};
  }
  ASSERT_TRUE(connection->Send(FrameKind::kStart, Encode(offer)).has_value());
  ASSERT_EQ(NextKind(), FrameKind::kAccepted);
  EXPECT_THAT(RefusalOf(FrameKind::kData, peer::DataPayload(kProgramChannel, "longer")),
              HasSubstr("more bytes than it had offered"));
  EXPECT_EQ(nodes[0]->runner.loads(), 0);
}

TEST_F(NodeServerTest, RefusesWhoHasAnotherKeyAndSaysSo) {
  peer::KeysOnDisk others;
  const auto other = others.Open(peer::KeysOnDisk::Line("two", "5a"));
  const auto refused = peer::SecureConnection::Connect(options.nodes[0].host, options.nodes[0].port,
                                                       *other, options.patience);
  EXPECT_FALSE(refused.has_value());
  connection.reset();
  nodes[0]->server.reset();
  const std::lock_guard lock(log_mutex_);
  EXPECT_THAT(log_, ElementsAre(HasSubstr("refused 127.0.0.1 port")));
  EXPECT_THAT(log_[0], HasSubstr("key \"two\" is not in this machine's key file"));
}

}  // namespace
}  // namespace zerocloud::remote
