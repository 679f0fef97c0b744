// A wire under TLS, against a peer of OpenSSL that the test moves by hand.
#include "middleware/server/wire.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <boost/asio/co_spawn.hpp>
#include <cstring>
#include <exception>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "channels/base/unique_fd.h"

namespace zerocloud::server {
namespace {

using boost::system::error_code;
using namespace std::chrono_literals;

constexpr std::string_view kKey = "a key that both ends have known";

unsigned int CopyKey(unsigned char* key, unsigned int room) {
  if (room < kKey.size()) return 0;
  std::memcpy(key, kKey.data(), kKey.size());
  return kKey.size();
}
unsigned int ServerKey(SSL*, const char*, unsigned char* key, unsigned int room) {
  return CopyKey(key, room);
}
unsigned int ClientKey(SSL*, const char*, char* identity, unsigned int identity_room,
                       unsigned char* key, unsigned int room) {
  if (identity_room < 2) return 0;
  std::memcpy(identity, "i", 2);
  return CopyKey(key, room);
}

// TLS 1.2 by a shared key, so that no certificate is needed; over memory buffers.
SslSession NewSession(bool is_server) {
  SSL_CTX* context = SSL_CTX_new(TLS_method());
  SSL_CTX_set_max_proto_version(context, TLS1_2_VERSION);
  SSL_CTX_set_cipher_list(context, "PSK-AES128-GCM-SHA256");
  SSL_CTX_set_psk_server_callback(context, ServerKey);
  SSL_CTX_set_psk_client_callback(context, ClientKey);
  SslSession session(SSL_new(context));
  SSL_CTX_free(context);  // the session holds it
  BIO* in = BIO_new(BIO_s_mem());
  BIO_set_mem_eof_return(in, -1);
  SSL_set_bio(session.get(), in, BIO_new(BIO_s_mem()));
  if (is_server) {
    SSL_set_accept_state(session.get());
  } else {
    SSL_set_connect_state(session.get());
  }
  return session;
}

// How something ended that runs beside the test, once it has.
struct Outcome {
  bool is_known = false;
  error_code error;
};

class WireTest : public ::testing::Test {
 protected:
  void SetUp() override {
    int ends[2] = {-1, -1};
    ASSERT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
    peer_.Reset(ends[1]);
    ::fcntl(peer_.get(), F_SETFL, O_NONBLOCK);
    wire_ = std::make_shared<Wire>(
        Socket(io_.get_executor(), net::generic::stream_protocol(AF_UNIX, 0), ends[0]));
    tls_ = NewSession(false);
    Outcome shaken;
    Spawn(wire_->Handshake(NewSession(true), 10s), shaken);
    char none = 0;
    RunUntil([&] {
      Exchange();
      SSL_read(tls_.get(), &none, 1);  // shakes hands, too
      return shaken.is_known && SSL_is_init_finished(tls_.get()) == 1;
    });
    ASSERT_FALSE(shaken.error.failed()) << shaken.error.message();
  }
  void TearDown() override {
    wire_->Close();
    io_.restart();
    io_.run();
  }

  void Spawn(net::awaitable<error_code> what, Outcome& outcome) {
    net::co_spawn(io_, std::move(what), [&outcome](const std::exception_ptr&, error_code error) {
      outcome = {true, error};
    });
  }
  void SpawnRead(Wire::Limit limit) {
    net::co_spawn(io_, wire_->Read(net::buffer(space_), limit),
                  [this](const std::exception_ptr&, const Wire::Moved& moved) {
                    read_ = {true, moved.error};
                  });
  }
  void SpawnWrite(Wire::Limit limit) {
    pieces_[0] = net::const_buffer(kAnswer.data(), kAnswer.size());
    Spawn(wire_->Write(pieces_, limit), written_);
  }
  // All that can be done without waiting.
  void Poll() {
    io_.restart();
    io_.poll();
  }
  void RunUntil(const std::function<bool()>& is_done) {
    const auto deadline = std::chrono::steady_clock::now() + 20s;
    while (!is_done()) {
      ASSERT_LT(std::chrono::steady_clock::now(), deadline);
      io_.restart();
      io_.run_one_for(1ms);
    }
  }

  void SendOfPeer() {
    BIO* out = SSL_get_wbio(tls_.get());
    while (BIO_pending(out) > 0) {
      char* bytes = nullptr;
      const long size = BIO_get_mem_data(out, &bytes);
      const ssize_t sent =
          ::send(peer_.get(), bytes, static_cast<std::size_t>(size), MSG_NOSIGNAL | MSG_DONTWAIT);
      if (sent <= 0) return;
      std::array<char, 65536> taken{};
      for (ssize_t left = sent; left > 0;) {
        left -= BIO_read(out, taken.data(), static_cast<int>(std::min<ssize_t>(left, 65536)));
      }
    }
  }
  // What has come for the peer.
  std::string Receive() {
    std::string came;
    std::array<char, 65536> bytes{};
    for (ssize_t got = 0; (got = ::read(peer_.get(), bytes.data(), bytes.size())) > 0;) {
      came.append(bytes.data(), static_cast<std::size_t>(got));
    }
    return came;
  }
  void Exchange() {
    const std::string came = Receive();
    BIO_write(SSL_get_rbio(tls_.get()), came.data(), static_cast<int>(came.size()));
    SendOfPeer();
  }
  // Until the connection takes no more towards the peer.
  void Stuff() {
    const std::string stuff(4096, 'x');
    for (ssize_t sent = 0; (sent = ::send(wire_->socket().native_handle(), stuff.data(),
                                          stuff.size(), MSG_DONTWAIT | MSG_NOSIGNAL)) > 0;) {
      stuffed_ += static_cast<std::size_t>(sent);
    }
  }
  // Owes the peer an answer, which is no.
  void AskForAnotherHandshake() {
    ASSERT_EQ(SSL_renegotiate(tls_.get()), 1);
    SSL_do_handshake(tls_.get());
    SendOfPeer();
  }
  // A read that has something to send and cannot, and a write behind it.
  void WriteBehindARead(Wire::Limit read_limit, Wire::Limit write_limit) {
    Stuff();
    AskForAnotherHandshake();
    SpawnRead(read_limit);
    Poll();
    SpawnWrite(write_limit);
    Poll();
    EXPECT_FALSE(written_.is_known) << "nothing was sent";
  }

  static constexpr std::string_view kAnswer = "answer";
  net::io_context io_{1};
  std::shared_ptr<Wire> wire_;
  UniqueFd peer_;
  SslSession tls_;
  std::size_t stuffed_ = 0;
  std::array<char, 100> space_{};
  std::array<net::const_buffer, 1> pieces_;
  Outcome written_;
  Outcome read_;
};

TEST_F(WireTest, WriteEndsWhenWhatAReadHadToSendIsSentToo) {
  WriteBehindARead(10s, 10s);
  std::string came;
  RunUntil([&] {
    came += Receive();
    return written_.is_known;
  });
  EXPECT_FALSE(written_.error.failed()) << written_.error.message();
  came += Receive();
  came.erase(0, stuffed_);
  std::vector<int> types;  // of the records
  while (came.size() >= 5) {
    const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(came[i]); };
    types.push_back(byte(0));
    came.erase(0, std::size_t{5} + byte(3) * std::size_t{256} + byte(4));
  }
  EXPECT_EQ(types, (std::vector<int>{SSL3_RT_ALERT, SSL3_RT_APPLICATION_DATA}));
  EXPECT_FALSE(read_.is_known);
}

TEST_F(WireTest, WriteBehindAReadFailsWithTheConnection) {
  WriteBehindARead(10s, 10s);
  peer_.Reset();
  RunUntil([&] { return written_.is_known && read_.is_known; });
  EXPECT_TRUE(written_.error.failed());
  EXPECT_TRUE(read_.error.failed());
}

TEST_F(WireTest, WriteBehindAReadHasItsOwnLimit) {
  WriteBehindARead(Wire::kForever, 20ms);
  RunUntil([&] { return written_.is_known; });
  EXPECT_EQ(written_.error, net::error::timed_out);
}

}  // namespace
}  // namespace zerocloud::server
