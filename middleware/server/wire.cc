#include "middleware/server/wire.h"

#include <openssl/err.h>

#include <array>
#include <boost/asio/write.hpp>

namespace zerocloud::server {
namespace {

using boost::system::error_code;

constexpr std::size_t kCipherBytes = std::size_t{64} * 1024;

error_code Plain(const error_code& ec) {
  return ec == beast::error::timeout ? error_code(net::error::timed_out) : ec;
}

// A peer that breaks TLS has broken the connection.
error_code TlsFailure() {
  ERR_clear_error();
  return net::error::connection_aborted;
}

}  // namespace

void Wire::SetLimit(std::chrono::milliseconds limit) {
  if (limit == kForever) {
    stream_.expires_never();
  } else {
    stream_.expires_after(limit);
  }
}

void Wire::ShutdownSend() {
  error_code ignored;
  ignored = stream_.socket().shutdown(net::socket_base::shutdown_send, ignored);
}

net::awaitable<error_code> Wire::Connect(net::generic::stream_protocol::endpoint endpoint,
                                         std::chrono::milliseconds limit) {
  SetLimit(limit);
  const auto [ec] = co_await stream_.async_connect(endpoint, kAwait);
  co_return Plain(ec);
}

net::awaitable<Wire::Moved> Wire::Read(net::mutable_buffer space, std::chrono::milliseconds limit) {
  if (tls_ != nullptr) co_return co_await ReadTls(space, limit);
  SetLimit(limit);
  const auto [ec, count] = co_await stream_.async_read_some(space, kAwait);
  co_return Moved{Plain(ec), count};
}

net::awaitable<error_code> Wire::Write(std::span<const net::const_buffer> pieces,
                                       std::chrono::milliseconds limit) {
  if (tls_ != nullptr) co_return co_await WriteTls(pieces, limit);
  SetLimit(limit);
  const auto [ec, count] = co_await net::async_write(stream_, pieces, kAwait);
  co_return Plain(ec);
}

net::awaitable<error_code> Wire::Handshake(SslSession tls, std::chrono::milliseconds limit,
                                           std::string_view already_read) {
  if (tls == nullptr) co_return net::error::no_memory;
  tls_ = std::move(tls);
  if (!already_read.empty()) {
    BIO_write(SSL_get_rbio(tls_.get()), already_read.data(), static_cast<int>(already_read.size()));
  }
  for (;;) {
    ERR_clear_error();
    const int done = SSL_do_handshake(tls_.get());
    const int why = SSL_get_error(tls_.get(), done);
    // Also after a failure: the peer is owed the alert.
    const error_code sent = co_await Flush(limit);
    if (done == 1) co_return sent;
    if (why != SSL_ERROR_WANT_READ) co_return TlsFailure();
    if (sent) co_return sent;
    const error_code fed = co_await Feed(limit);
    if (fed) co_return fed;
  }
}

net::awaitable<error_code> Wire::Feed(std::chrono::milliseconds limit) {
  cipher_in_.resize(kCipherBytes);
  SetLimit(limit);
  const auto [ec, count] = co_await stream_.async_read_some(net::buffer(cipher_in_), kAwait);
  if (ec) co_return Plain(ec);
  const int taken = BIO_write(SSL_get_rbio(tls_.get()), cipher_in_.data(), static_cast<int>(count));
  co_return taken == static_cast<int>(count) ? error_code() : TlsFailure();
}

net::awaitable<error_code> Wire::Flush(std::chrono::milliseconds limit) {
  BIO* out = SSL_get_wbio(tls_.get());
  // Whoever is writing takes these bytes, too.
  if (is_flushing_) co_return error_code();
  is_flushing_ = true;
  error_code result;
  while (!result && BIO_pending(out) > 0) {
    cipher_out_.resize(kCipherBytes);
    const int count = BIO_read(out, cipher_out_.data(), static_cast<int>(cipher_out_.size()));
    if (count <= 0) break;
    const net::const_buffer piece(cipher_out_.data(), static_cast<std::size_t>(count));
    SetLimit(limit);
    const auto [ec, sent] = co_await net::async_write(stream_, piece, kAwait);
    result = Plain(ec);
  }
  is_flushing_ = false;
  co_return result;
}

net::awaitable<Wire::Moved> Wire::ReadTls(net::mutable_buffer space,
                                          std::chrono::milliseconds limit) {
  for (;;) {
    ERR_clear_error();
    std::size_t count = 0;
    const int done = SSL_read_ex(tls_.get(), space.data(), space.size(), &count);
    if (done == 1) co_return Moved{{}, count};
    const int why = SSL_get_error(tls_.get(), done);
    if (why == SSL_ERROR_ZERO_RETURN) co_return Moved{net::error::eof, 0};
    if (why != SSL_ERROR_WANT_READ) co_return Moved{TlsFailure(), 0};
    // TLS 1.3 may owe the peer a message of its own, such as new keys.
    const error_code sent = co_await Flush(limit);
    if (sent) co_return Moved{sent, 0};
    const error_code fed = co_await Feed(limit);
    // An end without close_notify could have been forged: it is never an orderly one.
    if (fed) co_return Moved{fed == net::error::eof ? net::error::connection_aborted : fed, 0};
  }
}

net::awaitable<error_code> Wire::WriteTls(std::span<const net::const_buffer> pieces,
                                          std::chrono::milliseconds limit) {
  for (const net::const_buffer& piece : pieces) {
    if (piece.size() == 0) continue;
    ERR_clear_error();
    std::size_t count = 0;
    // Into a memory buffer that grows: all or nothing.
    if (SSL_write_ex(tls_.get(), piece.data(), piece.size(), &count) != 1) co_return TlsFailure();
  }
  co_return co_await Flush(limit);
}

}  // namespace zerocloud::server
