// Wire: one connection as a stream of bytes, plain or under TLS. Internal to the server folder:
// includes Asio and OpenSSL.
//
// One executor. At most one Read and one Write at a time; the two may overlap. Every wait has its
// limit; a wire whose wait ran out is closed. Owned by shared_ptr, since what is under way when it
// is closed ends a little later: whoever is done with a wire closes it.
#pragma once

#include <openssl/ssl.h>

#include <array>
#include <boost/asio/any_completion_handler.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/buffer.hpp>
#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "middleware/server/asio.h"

namespace zerocloud::server {

struct SslDeleter {
  void operator()(SSL* ssl) const { SSL_free(ssl); }
};
using SslSession = std::unique_ptr<SSL, SslDeleter>;

class Wire : public std::enable_shared_from_this<Wire> {
 public:
  using Limit = std::chrono::milliseconds;

  explicit Wire(Socket socket);
  // For one that is to be connected.
  explicit Wire(const Executor& executor);

  struct Moved {
    boost::system::error_code error;  // net::error::timed_out; net::error::eof at an orderly end
    std::size_t count = 0;            // > 0 of a read without error
  };
  net::awaitable<boost::system::error_code> Connect(
      net::generic::stream_protocol::endpoint endpoint, Limit limit);
  // Turns a plain wire into one under TLS. `already_read`: bytes of the peer that came before.
  net::awaitable<boost::system::error_code> Handshake(SslSession tls, Limit limit,
                                                      std::string_view already_read = {});
  // kForever: no limit.
  static constexpr Limit kForever = Limit::max();
  // Not while the wire reads ahead; Fill goes on with that.
  net::awaitable<Moved> Read(net::mutable_buffer space, Limit limit);
  // Some more bytes at the end of `buffer`, at most `at_most`.
  net::awaitable<boost::system::error_code> Fill(beast::flat_buffer* buffer, std::size_t at_most,
                                                 Limit limit);
  static constexpr std::size_t kMaxPieces = 4;
  using Pieces = std::array<net::const_buffer, kMaxPieces>;
  // What can be sent without waiting, which is taken off the pieces. True: that was all, or the
  // connection is broken (`error`).
  bool WriteNow(Pieces& pieces, boost::system::error_code& error);
  // All of it, at most kMaxPieces. `limit` is for each piece that the peer takes.
  net::awaitable<boost::system::error_code> Write(std::span<const net::const_buffer> pieces,
                                                  Limit limit);
  // Whether nothing stands between this wire's bytes and its socket.
  [[nodiscard]] bool IsBare() const {
    return tls_ == nullptr && !is_reading_ahead_ && !ahead_error_;
  }
  // The same for what is written to it.
  [[nodiscard]] bool CanWriteBare() const { return tls_ == nullptr; }
  struct Spliced {
    std::uint64_t count = 0;               // what arrived
    boost::system::error_code read_error;  // of the one that gives; eof: it ended before `count`
    boost::system::error_code write_error;
  };
  // Passes `count` bytes from this wire to another without copying them, through a pipe. Both are
  // bare. The limits are for each piece. After an error neither can be used any more. Fewer than
  // `count` and no error: there is no descriptor for a pipe, and the rest is to go another way.
  net::awaitable<Spliced> SpliceTo(Wire* to, std::uint64_t count, Limit read_limit,
                                   Limit write_limit);
  // Another limit for the read that is under way, from now on.
  void LimitRead(Limit limit) { SetDeadline(read_deadline_, limit); }

  // Reads ahead into `buffer` until it holds `at_most` bytes, and calls `gone` on the executor,
  // once, when the peer has closed its end or broken the connection. (Behind a buffer that is full
  // the end is not seen.) Unwatch: `gone` is not called any more; the read goes on, and the next
  // Watch or Fill, into the same buffer, takes it over. What was in the buffer may move when more
  // comes.
  void Watch(beast::flat_buffer& buffer, std::size_t at_most, std::function<void()> gone);
  void Unwatch() { gone_ = nullptr; }
  // Ends a Read or Fill under way, with operation_aborted. The wire stays good.
  void Interrupt();

  // Nothing to read and not closed: what an idle connection must be. Asked of the system, which may
  // know more than was told here.
  [[nodiscard]] bool IsQuiet();

  void Close();
  void ShutdownSend();
  [[nodiscard]] Socket& socket() { return socket_; }
  [[nodiscard]] Executor executor() { return socket_.get_executor(); }

 private:
  using Clock = std::chrono::steady_clock;

  // One timer for both deadlines. It is set anew only when it would ring too late; when it rings
  // too early it is set for the rest.
  void SetDeadline(Clock::time_point& deadline, Limit limit);
  void SetTimer(Clock::time_point when);
  void Ring();
  // That error, or that the time ran out.
  [[nodiscard]] boost::system::error_code Told(const boost::system::error_code& error) const;
  void ReadAhead();
  void GotAhead(const boost::system::error_code& error, std::size_t count);
  // Lets a Fill go on that waits for the read ahead.
  void WakeWaiter(const boost::system::error_code& error);
  void EndAhead(const boost::system::error_code& error);
  net::awaitable<boost::system::error_code> WaitFor(net::socket_base::wait_type what,
                                                    Clock::time_point* deadline, Limit limit);
  // What there is to read without waiting, if the last read took all that there was room for.
  bool ReadNow(net::mutable_buffer space, Moved& moved);
  // Around the wait for something to read.
  void BeginRead(Limit limit);
  Moved EndRead(net::mutable_buffer space, const boost::system::error_code& error,
                std::size_t count);
  // What OpenSSL has of the plain text now. False, `error` clear: it needs more of the peer.
  bool TakePlain(net::mutable_buffer space, Moved& moved);
  // Sends what OpenSSL wants sent. Where a write is at it, that takes these bytes, too, and this
  // does not wait for it: the peer may take nothing before it has been read from.
  net::awaitable<boost::system::error_code> Flush(Limit limit);
  // Until a Flush that is under way, which a read has begun, has sent all there is.
  net::awaitable<boost::system::error_code> AwaitFlush(Limit limit);
  // Reads ciphertext for OpenSSL.
  net::awaitable<boost::system::error_code> Feed(Limit limit);
  net::awaitable<Moved> ReadTls(net::mutable_buffer space, Limit limit);
  net::awaitable<boost::system::error_code> WriteTls(std::span<const net::const_buffer> pieces,
                                                     Limit limit);
  net::awaitable<boost::system::error_code> WritePlain(std::span<const net::const_buffer> pieces,
                                                       Limit limit);

  Socket socket_;
  Timer timer_;
  Clock::time_point read_deadline_ = Clock::time_point::max();
  Clock::time_point write_deadline_ = Clock::time_point::max();
  Clock::time_point rings_at_ = Clock::time_point::max();
  bool is_timed_out_ = false;

  bool was_full_ = false;  // the last read took all that there was room for: more is there
  int reads_at_once_ = 0;  // without giving others their turn
  int writes_at_once_ = 0;

  // Reading ahead.
  beast::flat_buffer* ahead_ = nullptr;
  std::size_t ahead_bytes_ = 0;  // at most
  std::vector<char> ahead_space_;
  bool is_reading_ahead_ = false;
  bool is_interrupted_ = false;
  boost::system::error_code ahead_error_;  // how it ended
  std::function<void()> gone_;
  std::optional<net::any_completion_handler<void(boost::system::error_code)>> waiter_;

  SslSession tls_;
  bool is_flushing_ = false;
  Limit flush_limit_{};  // of the flush under way: the lowest of those who wait for it
  std::optional<net::any_completion_handler<void(boost::system::error_code)>> flush_waiter_;
  std::vector<char> cipher_in_;
  std::vector<char> cipher_out_;
};

}  // namespace zerocloud::server
