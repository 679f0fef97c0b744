#include "middleware/peer/secure_connection.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <openssl/x509.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <csignal>
#include <future>
#include <thread>

#include "middleware/peer/testing/keys_on_disk.h"

namespace zerocloud::peer {
namespace {

using testing::HasSubstr;
using Connected = Result<std::unique_ptr<SecureConnection>>;

constexpr const char* kHost = "127.0.0.1";

// How long a test that waits for nothing to happen waits; everything else may take its time.
constexpr ConnectionLimits kPatient{std::chrono::minutes(1), std::chrono::minutes(1)};
constexpr ConnectionLimits kHasty{std::chrono::milliseconds(50), std::chrono::milliseconds(50)};

// The next frame; a heartbeat with a payload if there is none.
Frame Next(SecureConnection& connection) {
  const Result<std::optional<Frame>> got = connection.Receive(std::chrono::minutes(1));
  EXPECT_TRUE(got.has_value()) << got.error().message;
  return got.value_or(std::nullopt).value_or(Frame{FrameKind::kHeartbeat, "none came"});
}

class Connections : public testing::Test {
 protected:
  Connections() {
    std::signal(SIGPIPE, SIG_IGN);
    Result<UniqueFd> listening = Listen(kHost, port_);
    EXPECT_TRUE(listening.has_value());
    if (listening) listening_ = std::move(*listening);
    ours_ = keys_.Open(KeysOnDisk::Line("one", "5a"));
  }

  [[nodiscard]] UniqueFd AcceptSocket() const {
    pollfd waiting{listening_.get(), POLLIN, 0};
    EXPECT_EQ(::poll(&waiting, 1, 60'000), 1);
    return UniqueFd(::accept4(listening_.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
  }
  // Both ends, each with its own keys.
  void Meet(KeyFile& clients, KeyFile& servers) {
    std::future<Connected> connecting = std::async(std::launch::async, [&] {
      return SecureConnection::Connect(kHost, port_, clients, kPatient);
    });
    server = SecureConnection::Accept(AcceptSocket(), servers, server_limits);
    client = connecting.get();
  }
  void MeetWell() {
    Meet(*ours_, *ours_);
    ASSERT_TRUE(client.has_value()) << client.error().message;
    ASSERT_TRUE(server.has_value()) << server.error().message;
  }
  void ExpectRefusal(KeyFile& clients, KeyFile& servers, const std::string& reason) {
    Meet(clients, servers);
    ASSERT_FALSE(server.has_value());
    EXPECT_EQ(server.error().code, ErrorCode::kForbidden);
    EXPECT_THAT(server.error().message, HasSubstr(reason));
    ASSERT_FALSE(client.has_value());
    EXPECT_EQ(client.error().code, ErrorCode::kForbidden);
    EXPECT_THAT(client.error().message, HasSubstr("does not take key"));
  }
  // A socket that is connected to nobody in particular.
  [[nodiscard]] UniqueFd RawClient() const {
    UniqueFd raw(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(port_);
    ::inet_pton(AF_INET, kHost, &address.sin_addr);
    const void* where = &address;
    EXPECT_EQ(::connect(raw.get(), static_cast<const sockaddr*>(where), sizeof address), 0);
    return raw;
  }
  // What accepting says to a client that sends just these bytes and no more.
  Error AcceptBytes(std::string_view bytes) {
    const UniqueFd raw = RawClient();
    EXPECT_EQ(::send(raw.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL),
              static_cast<ssize_t>(bytes.size()));
    ::shutdown(raw.get(), SHUT_WR);
    const Connected accepted = SecureConnection::Accept(AcceptSocket(), *ours_, kPatient);
    EXPECT_FALSE(accepted.has_value());
    return accepted ? Error{} : accepted.error();
  }

  KeysOnDisk keys_;
  std::unique_ptr<KeyFile> ours_;
  std::uint16_t port_ = 0;
  UniqueFd listening_;
  ConnectionLimits server_limits = kPatient;
  Connected client = Fail(ErrorCode::kInternal, "not met");
  Connected server = Fail(ErrorCode::kInternal, "not met");
};

TEST_F(Connections, CarryFramesBothWays) {
  MeetWell();
  EXPECT_EQ((*server)->key_id(), "one");
  const std::string large(3 << 20, 'x');
  std::future<Result<void>> sent =
      std::async(std::launch::async, [&] { return (*client)->Send(FrameKind::kReport, large); });
  EXPECT_EQ(Next(**server).payload, large);
  EXPECT_TRUE(sent.get().has_value());
  ASSERT_TRUE((*server)->Send(FrameKind::kHeartbeat, "").has_value());
  EXPECT_EQ(Next(**client).kind, FrameKind::kHeartbeat);
  // Nothing more is there, and that is no error.
  const auto nothing = (*client)->TryReceive();
  ASSERT_TRUE(nothing.has_value());
  EXPECT_FALSE(nothing->has_value());
}

TEST_F(Connections, TakeTheNewerOfTwoKeysAndStillTheOlder) {
  const std::string lines = KeysOnDisk::Line("old", "11") + KeysOnDisk::Line("new", "22");
  const auto both = keys_.Open(lines);
  Meet(*both, *both);
  ASSERT_TRUE(server.has_value()) << server.error().message;
  EXPECT_EQ((*server)->key_id(), "new");
  const auto behind = keys_.Open(KeysOnDisk::Line("old", "11"));
  Meet(*behind, *both);
  ASSERT_TRUE(server.has_value()) << server.error().message;
  EXPECT_EQ((*server)->key_id(), "old");
}

TEST_F(Connections, RefuseAKeyThatIsNotKnown) {
  const auto other = keys_.Open(KeysOnDisk::Line("other", "5a"));
  ExpectRefusal(*other, *ours_, "key \"other\" is not in this machine's key file");
}

TEST_F(Connections, RefuseAnotherKeyOfTheSameName) {
  const auto other = keys_.Open(KeysOnDisk::Line("one", "5b"));
  ExpectRefusal(*other, *ours_, "names key \"one\" but does not have the same one");
}

TEST_F(Connections, RefuseAKeyThatExpiredByTheirOwnClock) {
  const std::string line = "one - 1970-01-01T01:00:00Z " + std::string(64, 'a');
  const auto behind = keys_.Open(line, 3000);
  const auto ahead = keys_.Open(line, 3000 + 3600);
  ExpectRefusal(*behind, *ahead, "expired at 1970-01-01T01:00:00Z");
}

TEST_F(Connections, AreNotTriedWithoutAValidKey) {
  const auto expired = keys_.Open("one - 1970-01-01T00:01:00Z " + std::string(64, 'a'), 60);
  const Connected tried = SecureConnection::Connect(kHost, port_, *expired, kPatient);
  // The socket connected, but nothing was sent over it.
  ASSERT_FALSE(tried.has_value());
  EXPECT_THAT(tried.error().message, HasSubstr("no key in this machine's key file is valid"));
}

TEST_F(Connections, AreNotMadeWithClocksAnHourApartUnlessTheKeySaysSo) {
  const auto behind = keys_.Open(KeysOnDisk::Line("one", "5a"), 1000);
  const auto ahead = keys_.Open(KeysOnDisk::Line("one", "5a"), 4600);
  Meet(*behind, *ahead);
  EXPECT_TRUE(client.has_value() && server.has_value());
}

TEST_F(Connections, RefuseWhatIsNoTls) {
  EXPECT_EQ(AcceptBytes("GET / HTTP/1.1\r\nHost: x\r\n\r\n").code, ErrorCode::kForbidden);
  EXPECT_EQ(AcceptBytes(std::string(100'000, '\xff')).code, ErrorCode::kForbidden);
  EXPECT_EQ(AcceptBytes("").code, ErrorCode::kForbidden);
}

// A TLS end without a pre-shared key, on a blocking socket; drives its handshake to the end.
int HandshakeWithout(int socket, SSL_CTX* context, bool is_client) {
  SSL* ssl = SSL_new(context);
  SSL_set_fd(ssl, socket);
  const int done = is_client ? SSL_connect(ssl) : SSL_accept(ssl);
  SSL_free(ssl);
  return done;
}

TEST_F(Connections, RefuseAClientWithoutAKey) {
  std::future<int> stranger = std::async(std::launch::async, [&] {
    const UniqueFd raw = RawClient();
    SSL_CTX* context = SSL_CTX_new(TLS_client_method());
    const int done = HandshakeWithout(raw.get(), context, true);
    SSL_CTX_free(context);
    return done;
  });
  const Connected accepted = SecureConnection::Accept(AcceptSocket(), *ours_, kPatient);
  ASSERT_FALSE(accepted.has_value());
  EXPECT_THAT(accepted.error().message, HasSubstr("offers no key"));
  EXPECT_NE(stranger.get(), 1);
}

TEST_F(Connections, RefuseAServerThatHasACertificateOnly) {
  EVP_PKEY* key = EVP_RSA_gen(2048);
  X509* certificate = X509_new();
  X509_gmtime_adj(X509_getm_notBefore(certificate), -60);
  X509_gmtime_adj(X509_getm_notAfter(certificate), 3600);
  X509_set_pubkey(certificate, key);
  X509_sign(certificate, key, EVP_sha256());
  SSL_CTX* context = SSL_CTX_new(TLS_server_method());
  ASSERT_EQ(SSL_CTX_use_certificate(context, certificate), 1);
  ASSERT_EQ(SSL_CTX_use_PrivateKey(context, key), 1);
  std::future<Connected> connecting = std::async(std::launch::async, [&] {
    return SecureConnection::Connect(kHost, port_, *ours_, kPatient);
  });
  {
    const UniqueFd socket = AcceptSocket();
    ::fcntl(socket.get(), F_SETFL, 0);
    HandshakeWithout(socket.get(), context, false);
  }
  const Connected connected = connecting.get();
  ASSERT_FALSE(connected.has_value());
  EXPECT_EQ(connected.error().code, ErrorCode::kForbidden);
  SSL_CTX_free(context);
  X509_free(certificate);
  EVP_PKEY_free(key);
}

// Moves bytes between the sockets until one ends, and returns those of the first.
std::string Relay(int client, int server) {
  std::string recorded;
  std::array<char, 4096> buffer{};
  std::array<pollfd, 2> ends = {pollfd{client, POLLIN, 0}, pollfd{server, POLLIN, 0}};
  while (::poll(ends.data(), ends.size(), 60'000) > 0) {
    for (const std::size_t i : {0U, 1U}) {
      if (ends[i].revents == 0) continue;
      const ssize_t got = ::read(ends[i].fd, buffer.data(), buffer.size());
      if (got <= 0) return recorded;
      const auto size = static_cast<std::size_t>(got);
      if (i == 0) recorded.append(buffer.data(), size);
      if (::send(ends[1 - i].fd, buffer.data(), size, MSG_NOSIGNAL) != got) return recorded;
    }
  }
  return recorded;
}

TEST_F(Connections, RefuseRecordedBytes) {
  // A connection that works, by way of somebody who records it.
  std::uint16_t middle_port = 0;
  Result<UniqueFd> middle = Listen(kHost, middle_port);
  ASSERT_TRUE(middle.has_value());
  std::promise<void> has_ended;
  std::future<void> honest = std::async(std::launch::async, [&] {
    const Connected made = SecureConnection::Connect(kHost, middle_port, *ours_, kPatient);
    ASSERT_TRUE(made.has_value()) << made.error().message;
    EXPECT_TRUE((*made)->Send(FrameKind::kStart, "{}").has_value());
    has_ended.get_future().wait();
  });
  pollfd waiting{middle->get(), POLLIN, 0};
  ASSERT_EQ(::poll(&waiting, 1, 60'000), 1);
  const UniqueFd from(::accept4(middle->get(), nullptr, nullptr, SOCK_CLOEXEC));
  const UniqueFd to = RawClient();
  std::future<std::string> recording =
      std::async(std::launch::async, [&] { return Relay(from.get(), to.get()); });
  {
    const Connected accepted = SecureConnection::Accept(AcceptSocket(), *ours_, kPatient);
    ASSERT_TRUE(accepted.has_value()) << accepted.error().message;
    const auto frame = (*accepted)->Receive(std::chrono::minutes(1));
    ASSERT_TRUE(frame.has_value() && frame->has_value());
    has_ended.set_value();
  }
  honest.get();
  const std::string recorded = recording.get();
  EXPECT_GT(recorded.size(), 200U);
  // The same bytes once more.
  const Error refused = AcceptBytes(recorded);
  EXPECT_EQ(refused.code, ErrorCode::kForbidden);
}

TEST_F(Connections, ThatAreCutAreErrors) {
  MeetWell();
  ASSERT_TRUE((*client)->Send(FrameKind::kHeartbeat, "").has_value());
  (*client)->Abort();
  // What came before it was cut still counts.
  const auto before = (*server)->Receive(std::chrono::minutes(1));
  ASSERT_TRUE(before.has_value() && before->has_value());
  const auto cut = (*server)->Receive(std::chrono::minutes(1));
  ASSERT_FALSE(cut.has_value());
  EXPECT_EQ(cut.error().code, ErrorCode::kUnavailable);
}

TEST_F(Connections, ThatCloseOrderlyAreErrorsToo) {
  MeetWell();
  client = Fail(ErrorCode::kInternal, "gone");
  const auto closed = (*server)->Receive(std::chrono::minutes(1));
  ASSERT_FALSE(closed.has_value());
  EXPECT_THAT(closed.error().message, HasSubstr("closed the connection"));
}

TEST_F(Connections, AreNotWaitedForWithoutBound) {
  // Nobody shakes hands.
  const UniqueFd raw = RawClient();
  const Connected silent = SecureConnection::Accept(AcceptSocket(), *ours_, kHasty);
  ASSERT_FALSE(silent.has_value());
  EXPECT_EQ(silent.error().code, ErrorCode::kTimeout);
}

TEST_F(Connections, ToSomebodyWhoTakesNothingEnd) {
  server_limits = kHasty;
  server_limits.handshake = kPatient.handshake;
  MeetWell();
  Result<void> sent;
  const std::string piece = DataPayload(1, std::string(100'000, 'x'));
  for (int i = 0; i < 1000 && sent; ++i) sent = (*server)->Send(FrameKind::kData, piece);
  ASSERT_FALSE(sent.has_value()) << "100 MB fitted into the buffers of a socket";
  EXPECT_EQ(sent.error().code, ErrorCode::kTimeout);
}

TEST_F(Connections, ToNobodyAreUnavailable) {
  listening_.Reset();
  const Connected tried = SecureConnection::Connect(kHost, port_, *ours_, kPatient);
  ASSERT_FALSE(tried.has_value());
  EXPECT_EQ(tried.error().code, ErrorCode::kUnavailable);
}

}  // namespace
}  // namespace zerocloud::peer
