// Whom a node lets connect, and what it says when it is left.
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

}  // namespace
}  // namespace zerocloud::remote
