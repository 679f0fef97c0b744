#include "middleware/server/wire.h"

#include <fcntl.h>
#include <openssl/err.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <boost/asio/post.hpp>
#include <boost/asio/write.hpp>
#include <cerrno>
#include <utility>

namespace zerocloud::server {
namespace {

using boost::system::error_code;

constexpr std::size_t kCipherBytes = std::size_t{64} * 1024;
// So many reads or writes that need not wait follow each other before another connection has its
// turn.
constexpr int kAtOnce = 16;
// A request's head seldom has more.
constexpr std::size_t kAheadBytes = 4096;

// A peer that breaks TLS has broken the connection.
error_code TlsFailure() {
  ERR_clear_error();
  return net::error::connection_aborted;
}

// An end without close_notify could have been forged: it is never an orderly one.
error_code TlsEnd(const error_code& error) {
  return error == net::error::eof ? error_code(net::error::connection_aborted) : error;
}

void Advance(Wire::Pieces& pieces, std::size_t count) {
  for (net::const_buffer& piece : pieces) {
    const std::size_t taken = std::min(count, piece.size());
    piece += taken;
    count -= taken;
  }
}

}  // namespace

Wire::Wire(Socket socket) : socket_(std::move(socket)), timer_(socket_.get_executor()) {
  error_code ignored;
  ignored = socket_.non_blocking(true, ignored);
}

Wire::Wire(const Executor& executor) : socket_(executor), timer_(executor) {}

void Wire::SetDeadline(Clock::time_point& deadline, Limit limit) {
  deadline = limit == kForever ? Clock::time_point::max() : CoarseNow() + limit;
  if (deadline < rings_at_) SetTimer(deadline);
}

void Wire::SetTimer(Clock::time_point when) {
  rings_at_ = when;
  timer_.expires_at(when);
  timer_.async_wait([self = shared_from_this()](const error_code& error) {
    if (!error) self->Ring();
  });
}

void Wire::Ring() {
  rings_at_ = Clock::time_point::max();
  const auto next = std::min(read_deadline_, write_deadline_);
  if (next == Clock::time_point::max() || !socket_.is_open()) return;
  if (next > Clock::now()) return SetTimer(next);
  is_timed_out_ = true;
  Close();
}

error_code Wire::Told(const error_code& error) const {
  return error && is_timed_out_ ? error_code(net::error::timed_out) : error;
}

void Wire::Close() {
  ahead_ = nullptr;  // it may be gone when a read that is under way ends
  error_code ignored;
  ignored = socket_.close(ignored);
  timer_.cancel();
}

void Wire::ShutdownSend() {
  error_code ignored;
  ignored = socket_.shutdown(net::socket_base::shutdown_send, ignored);
}

net::awaitable<error_code> Wire::Connect(net::generic::stream_protocol::endpoint endpoint,
                                         Limit limit) {
  SetDeadline(write_deadline_, limit);
  const auto [error] = co_await socket_.async_connect(endpoint, kAwait);
  write_deadline_ = Clock::time_point::max();
  error_code ignored;
  if (!error) ignored = socket_.non_blocking(true, ignored);
  co_return Told(error);
}

bool Wire::ReadNow(net::mutable_buffer space, Moved& moved) {
  if (!was_full_ || ++reads_at_once_ >= kAtOnce) return false;
  moved.count = socket_.read_some(space, moved.error);
  was_full_ = moved.count == space.size();
  return moved.error != net::error::would_block;
}

void Wire::BeginRead(Limit limit) {
  reads_at_once_ = 0;
  writes_at_once_ = 0;
  SetDeadline(read_deadline_, limit);
}

Wire::Moved Wire::EndRead(net::mutable_buffer space, const error_code& error, std::size_t count) {
  read_deadline_ = Clock::time_point::max();
  was_full_ = count == space.size();
  return {Told(error), count};
}

net::awaitable<Wire::Moved> Wire::Read(net::mutable_buffer space, Limit limit) {
  if (tls_ != nullptr) co_return co_await ReadTls(space, limit);
  Moved moved;
  if (ReadNow(space, moved)) co_return moved;
  BeginRead(limit);
  const auto [error, count] = co_await socket_.async_read_some(space, kAwait);
  co_return EndRead(space, error, count);
}

net::awaitable<error_code> Wire::Fill(beast::flat_buffer* buffer, std::size_t at_most,
                                      Limit limit) {
  if (is_reading_ahead_) {
    BeginRead(limit);
    const auto [error] = co_await net::async_initiate<decltype(kAwait), void(error_code)>(
        [this](auto handler) { waiter_.emplace(std::move(handler)); }, kAwait);
    read_deadline_ = Clock::time_point::max();
    co_return Told(error);
  }
  if (ahead_error_) co_return Told(ahead_error_);
  const auto space = buffer->prepare(std::min(at_most, buffer->max_size() - buffer->size()));
  Moved moved;
  if (tls_ != nullptr) {
    moved = co_await ReadTls(space, limit);
  } else if (!ReadNow(space, moved)) {  // Read() without a frame of its own
    BeginRead(limit);
    const auto [error, count] = co_await socket_.async_read_some(space, kAwait);
    moved = EndRead(space, error, count);
  }
  if (!moved.error) buffer->commit(moved.count);
  co_return moved.error;
}

void Wire::Watch(beast::flat_buffer& buffer, std::size_t at_most, std::function<void()> gone) {
  ahead_ = &buffer;
  ahead_bytes_ = std::min(at_most, buffer.max_size());  // made with the limits of its time
  gone_ = std::move(gone);
  if (ahead_error_) {
    net::post(executor(), [self = shared_from_this()] { self->EndAhead(self->ahead_error_); });
  } else if (!is_reading_ahead_) {
    ReadAhead();
  }
}

bool Wire::IsQuiet() {
  char byte = 0;
  return ::recv(socket_.native_handle(), &byte, 1, MSG_PEEK | MSG_DONTWAIT) < 0 && errno == EAGAIN;
}

void Wire::ReadAhead() {
  if (ahead_->size() >= ahead_bytes_) return;
  const std::size_t room = ahead_bytes_ - ahead_->size();
  if (tls_ != nullptr) {
    Moved moved;
    while (
        ahead_->size() < ahead_bytes_ &&
        TakePlain(ahead_->prepare(std::min(kAheadBytes, ahead_bytes_ - ahead_->size())), moved)) {
      ahead_->commit(moved.count);
    }
    if (moved.error) {
      net::post(executor(),
                [self = shared_from_this(), error = moved.error] { self->EndAhead(error); });
      return;
    }
  }
  ahead_space_.resize(kAheadBytes);
  is_reading_ahead_ = true;
  socket_.async_read_some(net::buffer(ahead_space_.data(), std::min(kAheadBytes, room)),
                          [self = shared_from_this()](const error_code& error, std::size_t count) {
                            self->GotAhead(error, count);
                          });
}

void Wire::GotAhead(const error_code& error, std::size_t count) {
  is_reading_ahead_ = false;
  if (std::exchange(is_interrupted_, false) && socket_.is_open()) {
    WakeWaiter(net::error::operation_aborted);
    if (error) return;  // else there are bytes, too
  }
  error_code end = error;
  if (!error && ahead_ == nullptr) {
    end = net::error::operation_aborted;  // closed meanwhile
  } else if (!error && tls_ != nullptr) {
    const int taken =
        BIO_write(SSL_get_rbio(tls_.get()), ahead_space_.data(), static_cast<int>(count));
    if (taken != static_cast<int>(count)) end = TlsFailure();
  } else if (!error) {
    net::buffer_copy(ahead_->prepare(count), net::buffer(ahead_space_));
    ahead_->commit(count);
  }
  if (end) return EndAhead(tls_ != nullptr ? TlsEnd(end) : end);
  if (!waiter_.has_value()) return ReadAhead();
  was_full_ = count == kAheadBytes;
  WakeWaiter(error_code());
}

void Wire::WakeWaiter(const error_code& error) {
  if (!waiter_.has_value()) return;
  auto waiter = std::move(*waiter_);
  waiter_.reset();
  std::move(waiter)(error);
}

void Wire::EndAhead(const error_code& error) {
  ahead_error_ = error;
  WakeWaiter(error);
  if (gone_) std::exchange(gone_, nullptr)();
}

void Wire::Interrupt() {
  is_interrupted_ = is_reading_ahead_;
  error_code ignored;
  ignored = socket_.cancel(ignored);
}

net::awaitable<error_code> Wire::Write(std::span<const net::const_buffer> pieces, Limit limit) {
  return tls_ != nullptr ? WriteTls(pieces, limit) : WritePlain(pieces, limit);
}

bool Wire::WriteNow(Pieces& pieces, error_code& error) {
  if (tls_ != nullptr || ++writes_at_once_ >= kAtOnce) return false;
  const std::size_t count = socket_.write_some(pieces, error);
  if (error == net::error::would_block) error.clear();
  if (error) return true;
  Advance(pieces, count);
  return net::buffer_size(pieces) == 0;
}

net::awaitable<error_code> Wire::WritePlain(std::span<const net::const_buffer> pieces,
                                            Limit limit) {
  Pieces rest{};
  std::ranges::copy(pieces.first(std::min(pieces.size(), kMaxPieces)), rest.begin());
  error_code now;
  if (WriteNow(rest, now)) co_return now;
  writes_at_once_ = 0;
  while (net::buffer_size(rest) > 0) {
    SetDeadline(write_deadline_, limit);
    const auto [error, count] = co_await socket_.async_write_some(rest, kAwait);
    write_deadline_ = Clock::time_point::max();
    if (error) co_return Told(error);
    Advance(rest, count);
  }
  co_return error_code();
}

net::awaitable<error_code> Wire::Handshake(SslSession tls, Limit limit,
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

net::awaitable<error_code> Wire::Feed(Limit limit) {
  cipher_in_.resize(kCipherBytes);
  SetDeadline(read_deadline_, limit);
  const auto [error, count] = co_await socket_.async_read_some(net::buffer(cipher_in_), kAwait);
  read_deadline_ = Clock::time_point::max();
  if (error) co_return Told(error);
  const int taken = BIO_write(SSL_get_rbio(tls_.get()), cipher_in_.data(), static_cast<int>(count));
  co_return taken == static_cast<int>(count) ? error_code() : TlsFailure();
}

net::awaitable<error_code> Wire::Flush(Limit limit) {
  BIO* out = SSL_get_wbio(tls_.get());
  if (is_flushing_) co_return error_code();
  is_flushing_ = true;
  flush_limit_ = limit;
  error_code result;
  while (!result && BIO_pending(out) > 0) {
    cipher_out_.resize(kCipherBytes);
    const int count = BIO_read(out, cipher_out_.data(), static_cast<int>(cipher_out_.size()));
    if (count <= 0) break;
    net::const_buffer rest(cipher_out_.data(), static_cast<std::size_t>(count));
    while (!result && rest.size() > 0) {
      SetDeadline(write_deadline_, flush_limit_);
      const auto [error, sent] = co_await socket_.async_write_some(rest, kAwait);
      write_deadline_ = Clock::time_point::max();
      result = Told(error);
      rest += sent;
    }
  }
  is_flushing_ = false;
  if (flush_waiter_.has_value()) {
    net::post(executor(), [waiter = std::move(*flush_waiter_), result]() mutable {
      std::move(waiter)(result);
    });
    flush_waiter_.reset();
  }
  co_return result;
}

net::awaitable<error_code> Wire::AwaitFlush(Limit limit) {
  if (limit < flush_limit_) {
    flush_limit_ = limit;
    SetDeadline(write_deadline_, limit);
  }
  const auto [error] = co_await net::async_initiate<decltype(kAwait), void(error_code)>(
      [this](auto handler) { flush_waiter_.emplace(std::move(handler)); }, kAwait);
  co_return error;
}

bool Wire::TakePlain(net::mutable_buffer space, Moved& moved) {
  ERR_clear_error();
  const int done = SSL_read_ex(tls_.get(), space.data(), space.size(), &moved.count);
  if (done == 1) return true;
  moved.count = 0;
  const int why = SSL_get_error(tls_.get(), done);
  if (why == SSL_ERROR_ZERO_RETURN) {
    moved.error = net::error::eof;
  } else if (why != SSL_ERROR_WANT_READ) {
    moved.error = TlsFailure();
  }
  return false;
}

net::awaitable<Wire::Moved> Wire::ReadTls(net::mutable_buffer space, Limit limit) {
  for (;;) {
    Moved moved;
    if (TakePlain(space, moved) || moved.error) co_return moved;
    // TLS may owe the peer a message of its own: new keys, or that it gets no new handshake.
    const error_code sent = co_await Flush(limit);
    if (sent) co_return Moved{sent, 0};
    const error_code fed = co_await Feed(limit);
    if (fed) co_return Moved{TlsEnd(fed), 0};
  }
}

net::awaitable<error_code> Wire::WriteTls(std::span<const net::const_buffer> pieces, Limit limit) {
  for (const net::const_buffer& piece : pieces) {
    if (piece.size() == 0) continue;
    ERR_clear_error();
    std::size_t count = 0;
    // Into a memory buffer that grows: all or nothing.
    if (SSL_write_ex(tls_.get(), piece.data(), piece.size(), &count) != 1) co_return TlsFailure();
  }
  // What a read has begun to send may fail, or wait long: what was written here with it.
  if (is_flushing_) co_return co_await AwaitFlush(limit);
  co_return co_await Flush(limit);
}

}  // namespace zerocloud::server
