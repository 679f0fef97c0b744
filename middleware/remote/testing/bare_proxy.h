// A node, seen over its wire: tests speak for proxies and strangers, frame by frame.
#pragma once

#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "middleware/digest/digest.h"
#include "middleware/remote/testing/cluster_test.h"

namespace zerocloud::remote {

using Connection = std::unique_ptr<peer::SecureConnection>;

inline std::string DigestOf(std::string_view text) {
  digest::Sha256 sha256;
  sha256.Add(text);
  return sha256.Hex();
}

class BareProxyTest : public ClusterTest {
 protected:
  BareProxyTest() {
    node_options.log = [this](const std::string& line) {
      const std::lock_guard lock(log_mutex_);
      log_.push_back(line);
    };
    AddNode();
  }
  ~BareProxyTest() override {
    scripted.clear();
    nodes.clear();  // which log, before the log
  }
  // Another node instead, with what the options say now.
  void ReplaceNode() {
    nodes.clear();
    options.nodes.clear();
    AddNode();
  }

  Connection Connect() {
    auto made = peer::SecureConnection::Connect(options.nodes[0].host, options.nodes[0].port, *keys,
                                                options.patience);
    EXPECT_TRUE(made.has_value());
    return made ? std::move(*made) : nullptr;
  }
  // One that speaks for that proxy.
  Connection ConnectAs(const std::string& proxy) {
    Connection connection = Connect();
    EXPECT_TRUE(connection->Send(FrameKind::kHello, Encode(Hello{.proxy = proxy})).has_value());
    EXPECT_EQ(Next(*connection).kind, FrameKind::kHello);
    return connection;
  }
  static peer::Frame Next(peer::SecureConnection& connection) {
    while (true) {
      auto got = connection.Receive(std::chrono::minutes(1));
      peer::Frame frame = got.value_or(std::nullopt).value_or(peer::Frame{FrameKind::kStart, {}});
      if (frame.kind != FrameKind::kHeartbeat) return frame;
    }
  }

  // A session that does what these arguments say (fake_runner.h). It has the standard channels, and
  // /dev/nvram. What is sent to other channels is any bytes.
  Offer MakeOffer(std::string_view args) {
    arguments_ = "[args]\nargs=s " + std::string(args) + "\n";
    Offer offer;
    offer.session = "s";
    offer.caller = {.account = "AUTH_me", .user = "me", .token = "t"};
    offer.sha256 = DigestOf(kProgram);
    offer.program_size = kProgram.size();
    offer.timeout = std::chrono::minutes(1);
    AddChannel(offer, "/dev/stdin", Source::kNothing, {1, 1, 0, 0});
    AddChannel(offer, "/dev/stdout", Source::kOutput, {0, 0, 1000, 1000});
    AddChannel(offer, "/dev/stderr", Source::kStderr, {0, 0, 10, 10});
    AddChannel(offer, "/dev/nvram", Source::kBytes, {10, 1000, 0, 0});
    offer.channels.back().type = channels::AccessType::kRandomBoth;
    offer.channels.back().size = arguments_.size();
    return offer;
  }
  static OfferedChannel& AddChannel(Offer& offer, std::string_view alias, Source source,
                                    channels::ChannelLimits limits) {
    // In their order: behind the standard ones that of their bytes.
    auto at = offer.channels.end();
    while (at - offer.channels.begin() > 3 && alias < std::prev(at)->alias) --at;
    return *offer.channels.insert(
        at, {.alias = std::string(alias), .limits = limits, .source = source});
  }
  // Offers it, and sends what the node needs.
  void StartSession(peer::SecureConnection& connection, const Offer& offer) {
    ASSERT_TRUE(connection.Send(FrameKind::kStart, Encode(offer)).has_value());
    const peer::Frame accepted = Next(connection);
    ASSERT_EQ(accepted.kind, FrameKind::kAccepted) << accepted.payload;
    if (ParseAccepted(accepted.payload).value_or(Accepted{}).needs_program) {
      SendStream(connection, kProgramChannel, kProgram);
    }
    for (std::size_t i = 0; i < offer.channels.size(); ++i) {
      if (offer.channels[i].source != Source::kBytes) continue;
      const bool is_nvram = offer.channels[i].alias == "/dev/nvram";
      SendStream(connection, static_cast<std::uint32_t>(i),
                 is_nvram ? arguments_ : std::string(offer.channels[i].size, 'x'));
    }
  }
  static void SendStream(peer::SecureConnection& connection, std::uint32_t channel,
                         std::string_view bytes) {
    EXPECT_TRUE(connection.Send(FrameKind::kData, peer::DataPayload(channel, bytes)).has_value());
    const StreamEnd end{channel, bytes.size(), DigestOf(bytes)};
    EXPECT_TRUE(connection.Send(FrameKind::kDigest, Encode(end)).has_value());
  }

  // What the node has logged when it has hung up.
  std::string LastLog(peer::SecureConnection& connection) {
    Linger(connection);
    nodes[0]->server.reset();
    const std::lock_guard lock(log_mutex_);
    return log_.empty() ? "" : log_.back();
  }
  // What it logs when it hangs up because of that frame.
  std::string ComplaintAbout(peer::SecureConnection& connection, FrameKind kind,
                             const std::string& payload) {
    EXPECT_TRUE(connection.Send(kind, payload).has_value());
    return LastLog(connection);
  }
  // The same, though the other side says again and again that it is there.
  std::string LastLogInSpiteOfHeartbeats(peer::SecureConnection& connection) {
    const auto pause = options.patience.silence / 20;
    while (connection.Send(FrameKind::kHeartbeat, {}) && connection.Receive(pause)) {
    }
    return LastLog(connection);
  }

  static constexpr std::string_view kProgram = "a program";
  std::string arguments_;
  std::mutex log_mutex_;
  std::vector<std::string> log_;  // guarded by log_mutex_
};

}  // namespace zerocloud::remote
