// Wire: one connection as a stream of bytes, plain or under TLS. Internal to the server folder:
// includes Asio, Beast and OpenSSL.
//
// One strand. At most one Read and one Write at a time; the two may overlap. Every wait has its
// limit; a wire whose wait ran out is closed.
#pragma once

#include <openssl/ssl.h>

#include <boost/asio/awaitable.hpp>
#include <boost/asio/buffer.hpp>
#include <chrono>
#include <memory>
#include <span>
#include <string_view>
#include <vector>

#include "middleware/server/asio.h"

namespace zerocloud::server {

struct SslDeleter {
  void operator()(SSL* ssl) const { SSL_free(ssl); }
};
using SslSession = std::unique_ptr<SSL, SslDeleter>;

class Wire {
 public:
  // `tls`: a session over memory buffers (NewTlsSession), or null: plain. One that is not shaken
  // yet is by Handshake().
  explicit Wire(Socket socket, SslSession tls = nullptr)
      : stream_(std::move(socket)), tls_(std::move(tls)) {}
  // For one that is to be connected.
  explicit Wire(const Strand& strand) : stream_(strand) {}

  struct Moved {
    boost::system::error_code error;  // net::error::timed_out; net::error::eof at an orderly end
    std::size_t count = 0;            // > 0 of a read without error
  };
  net::awaitable<boost::system::error_code> Connect(
      net::generic::stream_protocol::endpoint endpoint, std::chrono::milliseconds limit);
  // Turns a plain wire into one under TLS. `already_read`: bytes of the peer that came before.
  net::awaitable<boost::system::error_code> Handshake(SslSession tls,
                                                      std::chrono::milliseconds limit,
                                                      std::string_view already_read = {});
  // kForever: no limit.
  static constexpr std::chrono::milliseconds kForever = std::chrono::milliseconds::max();
  net::awaitable<Moved> Read(net::mutable_buffer space, std::chrono::milliseconds limit);
  // All of it. `limit` is for each piece that the peer takes.
  net::awaitable<boost::system::error_code> Write(std::span<const net::const_buffer> pieces,
                                                  std::chrono::milliseconds limit);

  void Close() { stream_.close(); }
  void ShutdownSend();
  [[nodiscard]] bool is_tls() const { return tls_ != nullptr; }
  [[nodiscard]] Socket& socket() { return stream_.socket(); }
  [[nodiscard]] Strand strand() { return stream_.get_executor(); }

  // The end of this wire, without closing: what Upstream keeps of an idle one.
  Socket ReleaseSocket() { return stream_.release_socket(); }
  SslSession ReleaseTls() { return std::move(tls_); }

 private:
  void SetLimit(std::chrono::milliseconds limit);
  // Bytes that OpenSSL wants sent. Only one writer at a time may do that.
  net::awaitable<boost::system::error_code> Flush(std::chrono::milliseconds limit);
  // Reads ciphertext for OpenSSL.
  net::awaitable<boost::system::error_code> Feed(std::chrono::milliseconds limit);
  net::awaitable<Moved> ReadTls(net::mutable_buffer space, std::chrono::milliseconds limit);
  net::awaitable<boost::system::error_code> WriteTls(std::span<const net::const_buffer> pieces,
                                                     std::chrono::milliseconds limit);

  Stream stream_;
  SslSession tls_;
  bool is_flushing_ = false;
  std::vector<char> cipher_in_;
  std::vector<char> cipher_out_;
};

}  // namespace zerocloud::server
