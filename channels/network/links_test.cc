#include "channels/network/links.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "channels/network/name_service.h"
#include "channels/network/wire.h"

namespace zerocloud::network {
namespace {

using channels::HostStatus;
using std::chrono::milliseconds;
using std::chrono::steady_clock;
using testing::HasSubstr;

constexpr std::uint32_t kLoopback = 0x7f000001;
constexpr milliseconds kLong{30'000};

std::uint16_t FreePort() {
  std::uint16_t port = 0;
  EXPECT_TRUE(Listen(kLoopback, port).has_value());
  return port;
}

LinkSpec Reader(std::uint16_t port) {
  return {.label = "/dev/in", .address = {.ip = kLoopback, .port = port}, .is_reader = true};
}
LinkSpec Writer(std::uint16_t port) {
  return {.label = "/dev/out", .address = {.ip = kLoopback, .port = port}, .is_reader = false};
}
NetworkOptions Within(milliseconds time) { return {.deadline = steady_clock::now() + time}; }

// All that comes until the end; `error` is the errno that it ends with, or 0.
std::string ReadAll(const UniqueFd& end, int& error) {
  std::string text;
  std::array<char, 65536> buffer{};
  while (true) {
    const ssize_t got = ::read(end.get(), buffer.data(), buffer.size());
    error = got < 0 ? errno : 0;
    if (got <= 0) return text;
    text.append(buffer.data(), static_cast<std::size_t>(got));
  }
}

// A reader and a writer with a link between them.
class LinksTest : public testing::Test {
 protected:
  void SetUp() override {
    ::signal(SIGPIPE, SIG_IGN);
    const std::uint16_t port = FreePort();
    std::jthread opens([this, port] { writer_ = Open(Writer(port)); });
    reader_ = Open(Reader(port));
    opens.join();
    ASSERT_TRUE(reader_ && writer_);
    in_ = reader_->TakeSessionEnd(0);
    out_ = writer_->TakeSessionEnd(0);
  }
  static std::unique_ptr<Links> Open(const LinkSpec& spec) {
    auto links = Links::Open({spec}, Within(kLong));
    EXPECT_TRUE(links.has_value()) << links.error().error.message;
    return links ? std::move(*links) : nullptr;
  }
  // Ends the writing session.
  LinkReport FinishWriter(bool is_clean) {
    out_.Reset();
    return writer_->Finish(is_clean).front();
  }

  std::unique_ptr<Links> reader_, writer_;
  UniqueFd in_, out_;
};

TEST_F(LinksTest, CarryAStreamWithItsDigest) {
  const std::string text(1'000'000, 'z');
  LinkReport sent;
  std::jthread sends([&] {
    EXPECT_EQ(::write(out_.get(), text.data(), text.size()), static_cast<ssize_t>(text.size()));
    sent = FinishWriter(true);
  });
  int error = -1;
  EXPECT_EQ(ReadAll(in_, error), text);
  EXPECT_EQ(error, 0);
  in_.Reset();
  const LinkReport received = reader_->Finish(true).front();
  sends.join();
  EXPECT_TRUE(sent.is_complete) << sent.error;
  EXPECT_TRUE(received.is_complete) << received.error;
  EXPECT_EQ(sent.bytes, text.size());
  EXPECT_EQ(received.bytes, text.size());
  EXPECT_EQ(received.drained, 0U);
  EXPECT_EQ(sent.digest, received.digest);
  EXPECT_EQ(sent.digest.size(), 64U);
}

TEST_F(LinksTest, SessionThatFailedDoesNotEndItsStream) {
  ASSERT_EQ(::write(out_.get(), "part", 4), 4);
  std::array<char, 4> first{};
  ASSERT_EQ(::recv(in_.get(), first.data(), first.size(), MSG_WAITALL), 4);
  EXPECT_FALSE(FinishWriter(false).is_complete);
  int error = 0;
  EXPECT_EQ(ReadAll(in_, error), "");
  EXPECT_EQ(error, ECONNRESET);
  const LinkReport received = reader_->Finish(true).front();
  EXPECT_FALSE(received.is_complete);
  EXPECT_THAT(received.error, HasSubstr("broken off"));
}

TEST_F(LinksTest, TakesWhatTheSessionDidNotRead) {
  const std::string text(3'000'000, 'z');
  in_.Reset();
  LinkReport received;
  std::jthread drains([&] { received = reader_->Finish(true).front(); });
  EXPECT_EQ(::write(out_.get(), text.data(), text.size()), static_cast<ssize_t>(text.size()));
  EXPECT_TRUE(FinishWriter(true).is_complete);
  drains.join();
  EXPECT_TRUE(received.is_complete) << received.error;
  EXPECT_EQ(received.drained, text.size());
}

TEST_F(LinksTest, WriterLearnsThatItsReaderHasGone) {
  in_.Reset();
  reader_->Finish(false);
  const std::string text(65536, 'z');
  while (::write(out_.get(), text.data(), text.size()) > 0) {
  }
  EXPECT_EQ(errno, EPIPE);
  const LinkReport sent = FinishWriter(true);
  EXPECT_FALSE(sent.is_complete);
  EXPECT_THAT(sent.error, HasSubstr("the reader went away"));
}

TEST(Links, FailWhenThePeerDoesNotComeInTime) {
  const std::uint16_t port = FreePort();
  for (const LinkSpec& spec : {Reader(port), Writer(port)}) {
    const auto links = Links::Open({spec}, Within(milliseconds(30)));
    ASSERT_FALSE(links.has_value());
    EXPECT_EQ(links.error().status, HostStatus::kInterrupted) << links.error().error.message;
    EXPECT_THAT(links.error().error.message, testing::StartsWith(spec.label));
  }
}

TEST(Links, FailWhenThePortIsTaken) {
  std::uint16_t port = 0;
  const auto taken = Listen(kLoopback, port);
  const auto links = Links::Open({Reader(port)}, Within(kLong));
  ASSERT_FALSE(links.has_value());
  EXPECT_EQ(links.error().status, HostStatus::kUnavailable);
}

TEST(Links, NodeNumbersNeedANameServer) {
  const auto links = Links::Open({{.label = "/dev/in", .address = {.node = 2}}}, Within(kLong));
  ASSERT_FALSE(links.has_value());
  EXPECT_EQ(links.error().status, HostStatus::kManifest);
}

// A peer that speaks for itself, so that it can lie.
class LinksPeer : public testing::Test {
 protected:
  void SetUp() override {
    const std::uint16_t port = FreePort();
    std::jthread opens([this, port] {
      auto links = Links::Open({Reader(port)}, Within(kLong));
      ASSERT_TRUE(links.has_value()) << links.error().error.message;
      reader_ = std::move(*links);
    });
    // One who is no session, or no longer there, is passed over.
    Send(Reach(port), "GET / HTTP/1.1\r\nHost: none\r\n\r\n");
    EXPECT_TRUE(Reach(port).is_open());
    peer_ = Reach(port);
    ASSERT_TRUE(SendAll(peer_.get(), MakeGreeting(7), patience_));
    std::array<std::byte, kWelcome.size()> welcome{};
    ASSERT_TRUE(ReceiveAll(peer_.get(), welcome, patience_));
    opens.join();
    in_ = reader_->TakeSessionEnd(0);
  }
  [[nodiscard]] UniqueFd Reach(std::uint16_t port) const {
    while (true) {
      auto connected = Connect(kLoopback, port, patience_);
      if (connected) return std::move(*connected);
      if (connected.error().code != ErrorCode::kUnavailable) return UniqueFd();
    }
  }
  void Send(const UniqueFd& to, std::string_view text) const {
    static_cast<void>(SendAll(to.get(), std::as_bytes(std::span(text)), patience_));
  }

  Patience patience_{steady_clock::now() + kLong, -1};
  std::unique_ptr<Links> reader_;
  UniqueFd peer_, in_;
};

TEST_F(LinksPeer, StreamWithAWrongDigestNeverEnds) {
  Send(peer_, std::string_view("\0\0\0\4text\0\0\0\0", 12));
  Send(peer_, std::string(32, 'x'));
  int error = 0;
  EXPECT_EQ(ReadAll(in_, error), "text");
  EXPECT_EQ(error, ECONNRESET);
  std::byte verdict{};
  EXPECT_TRUE(ReceiveAll(peer_.get(), std::span(&verdict, 1), patience_));
  EXPECT_EQ(verdict, kVerdictBad);
  const LinkReport received = reader_->Finish(true).front();
  EXPECT_FALSE(received.is_complete);
  EXPECT_THAT(received.error, HasSubstr("corrupted upon eof"));
}

TEST_F(LinksPeer, StreamThatIsCutOffNeverEnds) {
  Send(peer_, std::string_view("\0\0\0\4te", 6));
  peer_.Reset();
  int error = 0;
  EXPECT_EQ(ReadAll(in_, error), "te");
  EXPECT_EQ(error, ECONNRESET);
}

TEST_F(LinksPeer, SilentPeerHoldsNobodyUpBeyondTheDestructor) {
  in_.Reset();
  reader_.reset();
  std::byte byte{};
  EXPECT_FALSE(ReceiveAll(peer_.get(), std::span(&byte, 1), patience_)) << "closed";
}

// A reader that speaks for itself: takes what a session writes, and may say anything about it.
class LinksFalseReader : public testing::Test {
 protected:
  void SetUp() override {
    std::uint16_t port = 0;
    const auto listener = Listen(kLoopback, port);
    ASSERT_TRUE(listener.has_value());
    std::jthread opens([this, port] {
      auto links = Links::Open({Writer(port)}, Within(kLong));
      ASSERT_TRUE(links.has_value()) << links.error().error.message;
      writer_ = std::move(*links);
    });
    // What is no session, or goes away, is tried again.
    EXPECT_TRUE(Accept(listener->get(), patience_).has_value());
    for (const std::string_view welcome : {std::string_view("HTTP/1.1"), kWelcome}) {
      auto accepted = Accept(listener->get(), patience_);
      ASSERT_TRUE(accepted.has_value());
      peer_ = std::move(*accepted);
      std::array<std::byte, kGreetingSize> greeting{};
      ASSERT_TRUE(ReceiveAll(peer_.get(), greeting, patience_));
      ASSERT_TRUE(SendAll(peer_.get(), std::as_bytes(std::span(welcome)), patience_));
    }
    opens.join();
    out_ = writer_->TakeSessionEnd(0);
  }
  // What the writer reports when the reader has answered `verdict` to its stream, or nothing.
  std::string ErrorAfter(std::string_view verdict) {
    EXPECT_EQ(::write(out_.get(), "text", 4), 4);
    std::jthread reads([this, verdict] {
      std::array<std::byte, 4 + 4 + 4 + 32> stream{};
      EXPECT_TRUE(ReceiveAll(peer_.get(), stream, patience_));
      EXPECT_TRUE(SendAll(peer_.get(), std::as_bytes(std::span(verdict)), patience_));
      peer_.Reset();
    });
    out_.Reset();
    return writer_->Finish(true).front().error;
  }

  Patience patience_{steady_clock::now() + kLong, -1};
  std::unique_ptr<Links> writer_;
  UniqueFd peer_, out_;
};

TEST_F(LinksFalseReader, WithAnotherDigestSpoilsTheStream) {
  EXPECT_EQ(ErrorAfter("X"), "corrupted upon eof: the reader has another digest");
}

TEST_F(LinksFalseReader, ThatSaysNothingAtTheEndSpoilsTheStream) {
  EXPECT_EQ(ErrorAfter(""), "broken off: the reader went away at the end");
}

TEST_F(LinksFalseReader, ThatTakesEverythingIsBelieved) { EXPECT_EQ(ErrorAfter("K"), ""); }

TEST(Links, AreNoMoreThanTheirLimit) {
  const std::vector<LinkSpec> specs(kMaxLinks + 1, Writer(1));
  const auto links = Links::Open(specs, Within(kLong));
  ASSERT_FALSE(links.has_value());
  EXPECT_EQ(links.error().status, HostStatus::kManifest);
}

TEST(Links, AreUnavailableWithoutDescriptors) {
#if __has_feature(undefined_behavior_sanitizer)
  GTEST_SKIP()
      << "UBSan asks by a pipe whether memory can be read, and without one takes it for bad";
#endif
  rlimit before{};
  ASSERT_EQ(::getrlimit(RLIMIT_NOFILE, &before), 0);
  const UniqueFd next(::open("/dev/null", O_RDONLY | O_CLOEXEC));
  for (const int more : {0, 1, 2, 3}) {
    const rlimit lower = {static_cast<rlim_t>(next.get() + 1 + more), before.rlim_max};
    ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &lower), 0);
    const auto links = Links::Open({Writer(1)}, Within(milliseconds(1)));
    ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &before), 0);
    ASSERT_FALSE(links.has_value());
    // With three there is enough for the link itself, and only its peer is missing.
    EXPECT_EQ(links.error().status, more < 3 ? HostStatus::kUnavailable : HostStatus::kInterrupted)
        << more;
  }
}

TEST(Socket, FailuresAreTold) {
  EXPECT_FALSE(OwnIp(-1).has_value());
  EXPECT_FALSE(ConnectDatagram(0xffffffff, 9).has_value()) << "broadcast must be asked for";
  std::uint16_t port = 0;
  const auto listener = Listen(kLoopback, port);
  const auto writer = Connect(kLoopback, port, {steady_clock::now() + kLong, -1});
  ASSERT_TRUE(listener.has_value() && writer.has_value());
  // More than fits between the two, and nobody takes it.
  const std::vector<std::byte> much(std::size_t{64} << 20);
  const auto sent = SendAll(writer->get(), much, {steady_clock::now() + milliseconds(20), -1});
  ASSERT_FALSE(sent.has_value());
  EXPECT_EQ(sent.error().code, ErrorCode::kTimeout);
}

// Three nodes in a ring, each of which reads from one and writes to the other.
TEST(Links, NamesMakeARing) {
  std::uint16_t port = 0;
  const auto names = BindDatagram(kLoopback, port);
  ASSERT_TRUE(names.has_value());
  std::jthread server([&names] {
    EXPECT_TRUE(ServeNames(names->get(), 3, milliseconds(50), {steady_clock::now() + kLong, -1}));
  });
  std::vector<std::jthread> nodes;
  for (std::uint32_t node = 1; node <= 3; ++node) {
    nodes.emplace_back([node, port] {
      NetworkOptions options = Within(kLong);
      options.node = node;
      options.name_server = channels::NetworkAddress{.ip = kLoopback, .port = port};
      auto links = Links::Open(
          {{.label = "in", .address = {.node = node == 1 ? 3 : node - 1}, .is_reader = true},
           {.label = "out", .address = {.node = node == 3 ? 1 : node + 1}, .is_reader = false}},
          options);
      ASSERT_TRUE(links.has_value()) << links.error().error.message;
      const UniqueFd in = (*links)->TakeSessionEnd(0);
      UniqueFd out = (*links)->TakeSessionEnd(1);
      const std::string name(1, static_cast<char>('0' + node));
      EXPECT_EQ(::write(out.get(), name.data(), 1), 1);
      out.Reset();
      char from = 0;
      EXPECT_EQ(::read(in.get(), &from, 1), 1);
      EXPECT_EQ(from, static_cast<char>('0' + (node == 1 ? 3 : node - 1)));
      for (const LinkReport& report : (*links)->Finish(true)) {
        EXPECT_TRUE(report.is_complete) << report.error;
      }
    });
  }
}

}  // namespace
}  // namespace zerocloud::network
