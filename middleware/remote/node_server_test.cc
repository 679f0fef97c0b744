// Whom a node lets connect, what it refuses, and what it says when it is left.
#include <arpa/inet.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <string>
#include <thread>
#include <vector>

#include "middleware/remote/testing/bare_proxy.h"
#include "middleware/remote/wire_holds.h"

namespace zerocloud::remote {
namespace {

using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;

class ConnectionsOfANodeTest : public BareProxyTest {
 protected:
  std::vector<std::string> StopAndLog() {
    nodes[0]->server.reset();
    const std::lock_guard lock(log_mutex_);
    return log_;
  }

  const std::string proxy_ = NewId();
};

TEST_F(ConnectionsOfANodeTest, AConnectionThatBreaksWithinASessionIsLogged) {
  Connection idle = ConnectAs(proxy_);
  idle.reset();  // that is no news
  Connection proxy = ConnectAs(proxy_);
  StartSession(*proxy, MakeOffer("hang"));
  nodes[0]->runner.WaitForHanging(1);
  proxy.reset();
  while (nodes[0]->server->stats().connections > 0) std::this_thread::yield();
  const std::vector<std::string> log = StopAndLog();
  ASSERT_EQ(log.size(), 1U);
  EXPECT_THAT(log[0],
              testing::ContainsRegex(
                  "^dropped 127.0.0.1 port [0-9]+ within session s: (it closed|the connection)"));
}

// Whoever shows no key.
UniqueFd Stranger(const NodeAddress& node) {
  UniqueFd socket(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(node.port);
  EXPECT_EQ(::inet_pton(AF_INET, node.host.c_str(), &address.sin_addr), 1);
  const void* any = &address;
  EXPECT_EQ(::connect(socket.get(), static_cast<const sockaddr*>(any), sizeof address), 0);
  return socket;
}

TEST_F(ConnectionsOfANodeTest, StrangersKeepNobodyOut) {
  node_options.connections = 4;
  ReplaceNode();
  const Connection first = ConnectAs(proxy_);
  std::vector<UniqueFd> strangers(20);
  for (UniqueFd& stranger : strangers) stranger = Stranger(options.nodes[0]);
  std::vector<Connection> proxies(3);
  for (Connection& proxy : proxies) proxy = ConnectAs(proxy_);
  // One more with the key is one too many.
  const auto refused = peer::SecureConnection::Connect(options.nodes[0].host, options.nodes[0].port,
                                                       *keys, options.patience);
  EXPECT_FALSE(refused.has_value());
  StartSession(*first, MakeOffer("say:text"));
  EXPECT_EQ(Next(*first).kind, FrameKind::kStarted);
  strangers.clear();
  EXPECT_THAT(StopAndLog(), Contains(HasSubstr("which has not shown a key yet")));
}

// What hostile proxies do to a node.

TEST_F(ConnectionsOfANodeTest, RefusesFramesThatHaveNoPlace) {
  const Connection proxy = Connect();
  EXPECT_THAT(ComplaintAbout(*proxy, FrameKind::kReport, "{}"),
              HasSubstr("a report frame where there is none"));
}

TEST_F(ConnectionsOfANodeTest, RefusesAnOfferBeforeAGreeting) {
  const Connection proxy = Connect();
  EXPECT_THAT(ComplaintAbout(*proxy, FrameKind::kStart, "{}"),
              HasSubstr("a start frame where there is none"));
}

TEST_F(ConnectionsOfANodeTest, RefusesAnOfferThatIsNone) {
  const Connection proxy = ConnectAs("");
  EXPECT_THAT(ComplaintAbout(*proxy, FrameKind::kStart, R"({"session": 1})"),
              HasSubstr("a wrong offer"));
}

TEST_F(ConnectionsOfANodeTest, RefusesBytesThatAreNotThoseOffered) {
  const Connection proxy = ConnectAs("");
  ASSERT_TRUE(proxy->Send(FrameKind::kStart, Encode(MakeOffer("say:x"))).has_value());
  ASSERT_EQ(Next(*proxy).kind, FrameKind::kAccepted);
  const std::string longer = peer::DataPayload(kProgramChannel, std::string(kProgram) + "!");
  EXPECT_THAT(ComplaintAbout(*proxy, FrameKind::kData, longer),
              HasSubstr("more bytes than it had offered"));
  EXPECT_EQ(nodes[0]->runner.loads(), 0);
}

TEST_F(ConnectionsOfANodeTest, RefusesWhoHasAnotherKeyAndSaysSo) {
  peer::KeysOnDisk others;
  const auto other = others.Open(peer::KeysOnDisk::Line("two", "5a"));
  const auto refused = peer::SecureConnection::Connect(options.nodes[0].host, options.nodes[0].port,
                                                       *other, options.patience);
  EXPECT_FALSE(refused.has_value());
  const std::vector<std::string> log = StopAndLog();
  EXPECT_THAT(log, ElementsAre(HasSubstr("refused 127.0.0.1 port")));
  EXPECT_THAT(log[0], HasSubstr("key \"two\" is not in this machine's key file"));
}

}  // namespace
}  // namespace zerocloud::remote
