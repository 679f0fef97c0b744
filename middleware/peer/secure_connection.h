// SecureConnection: frames between two machines of one cluster, over TCP and TLS 1.3 with a
// pre-shared key (RFC 8446, section 4.2.11, psk_dhe_ke). There are no certificates: both sides
// prove that they have the key, and every connection has secrets of its own, so that recorded bytes
// are of no use to anybody. No early data, no tickets.
//
// Used by one thread at a time, but for Abort(). Every wait is bounded. Errors are sentences about
// the other side, for the log and for the job's report; none shows a key.
#pragma once

#include <openssl/ssl.h>

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "channels/base/result.h"
#include "channels/base/unique_fd.h"
#include "middleware/peer/frame.h"
#include "middleware/peer/key_file.h"

namespace zerocloud::peer {

struct ConnectionLimits {
  std::chrono::milliseconds handshake{10'000};  // connecting and all of the handshake
  std::chrono::milliseconds silence{10'000};    // the other side takes or brings no byte
};

class SecureConnection {
 public:
  // `host` is a numeric address. kUnavailable: nobody answers there; kForbidden: the keys do not
  // fit, with what this side knows of the reason.
  static Result<std::unique_ptr<SecureConnection>> Connect(const std::string& host,
                                                           std::uint16_t port, KeyFile& keys,
                                                           ConnectionLimits limits);
  // The other end, from what accept() gave. Blocks for the handshake.
  static Result<std::unique_ptr<SecureConnection>> Accept(UniqueFd socket, KeyFile& keys,
                                                          ConnectionLimits limits);

  SecureConnection(const SecureConnection&) = delete;
  SecureConnection& operator=(const SecureConnection&) = delete;
  ~SecureConnection();

  [[nodiscard]] const std::string& key_id() const { return key_id_; }
  // For poll(): wait for POLLIN on it after TryReceive() gave nothing.
  [[nodiscard]] int fd() const { return socket_.get(); }

  Result<void> Send(FrameKind kind, std::string_view payload);
  // What is there, without waiting.
  Result<std::optional<Frame>> TryReceive();
  // Waits for at most `wait`.
  // Returns at once, too, when `also` (a descriptor, or -1) is readable.
  Result<std::optional<Frame>> Receive(std::chrono::milliseconds wait, int also = -1);
  // Has whoever waits here fail, from any thread.
  void Abort();

 private:
  struct SslDeleter {
    void operator()(SSL* ssl) const { SSL_free(ssl); }
  };
  using Ssl = std::unique_ptr<SSL, SslDeleter>;

  SecureConnection(UniqueFd socket, ConnectionLimits limits)
      : socket_(std::move(socket)), limits_(limits) {}
  Result<void> Handshake(KeyFile& keys, bool is_client);
  // Until the socket is ready for what SSL wants. kTimeout.
  Result<void> WaitFor(int ssl_error, std::chrono::steady_clock::time_point until);

  UniqueFd socket_;
  const ConnectionLimits limits_;
  Ssl ssl_;
  FrameReader frames_;
  std::string key_id_;
};

// A socket that listens there; port 0 takes a free one, which `port` then is.
Result<UniqueFd> Listen(const std::string& host, std::uint16_t& port);

}  // namespace zerocloud::peer
