// What a session learns of its streams: which one broke and where it leads, and what is done.
#include "middleware/remote/session_streams.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/socket.h>

#include <csignal>
#include <functional>
#include <string>
#include <thread>

#include "middleware/peer/testing/keys_on_disk.h"
#include "middleware/remote/wire_holds.h"
#include "middleware/remote/wire_streams.h"

namespace zerocloud::remote {
namespace {

using peer::FrameKind;

class SessionStreamsTest : public testing::Test {
 protected:
  using Script = std::function<void(peer::SecureConnection&)>;

  SessionStreamsTest() { std::signal(SIGPIPE, SIG_IGN); }
  ~SessionStreamsTest() override {
    if (other_.joinable()) other_.join();
  }

  // The next who connects to the returned address meets that.
  std::string Serve(Script script) {
    std::uint16_t port = 0;
    auto listening = peer::Listen("127.0.0.1", port);
    EXPECT_TRUE(listening.has_value());
    other_ = std::thread([this, socket = std::move(*listening), script = std::move(script)] {
      pollfd waiting{socket.get(), POLLIN, 0};
      EXPECT_EQ(::poll(&waiting, 1, 60'000), 1);
      auto made = peer::SecureConnection::Accept(
          UniqueFd(::accept4(socket.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK)), *keys_,
          patience_);
      ASSERT_TRUE(made.has_value());
      script(**made);
    });
    return "127.0.0.1:" + std::to_string(port);
  }
  static FrameKind Next(peer::SecureConnection& connection) {
    const auto got = connection.Receive(std::chrono::minutes(1));
    return got.value_or(std::nullopt).value_or(peer::Frame{}).kind;
  }
  static OfferedChannel Channel(const std::string& alias, Source source, const std::string& peer) {
    return {.alias = alias, .source = source, .stream = NewId(), .peer = peer};
  }
  // Until there is news, or a minute has gone.
  static void AwaitNews(const SessionStreams& streams) {
    pollfd waiting{streams.fd(), POLLIN, 0};
    EXPECT_EQ(::poll(&waiting, 1, 60'000), 1);
  }
  [[nodiscard]] static std::string Complaint(const SessionStreams& streams) {
    return streams.error().value_or(Error{}).message;
  }

  peer::KeysOnDisk key_files_;
  std::unique_ptr<peer::KeyFile> keys_ = key_files_.Open(peer::KeysOnDisk::Line("one", "5a"));
  const peer::ConnectionLimits patience_{std::chrono::minutes(1), std::chrono::minutes(1)};
  const std::string proxy_ = NewId();
  Streams streams_{patience_};
  std::thread other_;
};

TEST_F(SessionStreamsTest, OneThatIsReadAndBreaksNamesWhereItCameFrom) {
  SessionStreams session(streams_, *keys_, patience_, proxy_);
  const OfferedChannel channel = Channel("/dev/in/b", Source::kRead, "10.0.0.5:8090");
  const auto end = session.OpenReader(channel);
  ASSERT_TRUE(end.has_value());
  EXPECT_FALSE(session.is_done());
  const std::string address = Serve([&](peer::SecureConnection& connection) {
    EXPECT_EQ(Next(connection), FrameKind::kStream);
    EXPECT_FALSE(streams_.Serve(connection, {proxy_, channel.stream}).has_value());
  });
  const auto port = static_cast<std::uint16_t>(std::stoi(address.substr(address.find(':') + 1)));
  auto writer = peer::SecureConnection::Connect("127.0.0.1", port, *keys_, patience_);
  ASSERT_TRUE(writer.has_value());
  EXPECT_TRUE((*writer)->Send(FrameKind::kStream, Encode(StreamOrder{channel.stream})).has_value());
  const StreamEnd wrong{0, 0, std::string(64, '0')};
  EXPECT_TRUE((*writer)->Send(FrameKind::kDigest, Encode(wrong)).has_value());
  other_.join();
  EXPECT_EQ(Complaint(session),
            "the stream /dev/in/b from 10.0.0.5:8090: what it sent of a stream is not what the "
            "digest at its end says");
  // Its writer has come, and what a session that has ended well does not read is not its matter.
  EXPECT_TRUE(session.is_done());
}

TEST_F(SessionStreamsTest, OneThatIsWrittenAndBreaksIsNotDoneAndNamesItsReader) {
  SessionStreams session(streams_, *keys_, patience_, proxy_);
  const std::string address = Serve([](peer::SecureConnection& connection) {
    EXPECT_EQ(Next(connection), FrameKind::kHello);
    EXPECT_TRUE(connection.Send(FrameKind::kHello, Encode(Hello{})).has_value());
    EXPECT_EQ(Next(connection), FrameKind::kStream);
    EXPECT_TRUE(connection.Send(FrameKind::kCredit, Encode(Credit{5, false})).has_value());
    EXPECT_EQ(Next(connection), FrameKind::kDigest);
    EXPECT_TRUE(connection.Send(FrameKind::kReport, "{}").has_value());
    while (connection.Receive(std::chrono::minutes(1))) {
    }
  });
  Offer offer;
  offer.channels.push_back(Channel("/dev/out/b", Source::kWrite, address));
  {
    runtime::SessionRequest request;
    request.channels.resize(1);
    const Result<void> connected = session.ConnectWriters(offer, request);
    ASSERT_TRUE(connected.has_value()) << connected.error().message;
  }
  session.EndWriters();
  AwaitNews(session);
  EXPECT_EQ(Complaint(session),
            "the stream /dev/out/b to " + address + ": it sent a report frame where there is none");
  for (int i = 0; i < 1000; ++i) {  // nor is it a moment later
    ASSERT_FALSE(session.is_done());
    std::this_thread::yield();
  }
}

TEST_F(SessionStreamsTest, NoneIsOpenedForAProxyThatIsGone) {
  SessionStreams session(streams_, *keys_, patience_, proxy_);
  Offer offer;
  offer.channels.push_back(Channel("/dev/out/b", Source::kWrite, "127.0.0.1:1"));
  runtime::SessionRequest request;
  request.channels.resize(1);
  session.Abort();
  const Result<void> connected = session.ConnectWriters(offer, request);
  ASSERT_FALSE(connected.has_value());
  EXPECT_EQ(connected.error().code, ErrorCode::kCancelled);
}

}  // namespace
}  // namespace zerocloud::remote
