#include "middleware/server/connection.h"

#include <sys/socket.h>

#include <array>
#include <boost/asio/experimental/awaitable_operators.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/write.hpp>
#include <boost/beast/http/read.hpp>
#include <utility>
#include <vector>

#include "middleware/http/reply.h"
#include "middleware/http/text.h"
#include "middleware/server/head_scanner.h"
#include "middleware/server/trans_id.h"

namespace zerocloud::server {
namespace {

namespace bhttp = beast::http;
using boost::system::error_code;
using std::chrono::steady_clock;

constexpr std::size_t kPieceBytes = std::size_t{64} * 1024;

std::string_view View(const beast::flat_buffer& buffer) {
  const auto data = buffer.data();
  return {static_cast<const char*>(data.data()), data.size()};
}

// What Beast lets pass and two readers could still frame differently. Empty: nothing.
std::string FramingObjection(const RequestParser& parser) {
  const auto& fields = parser.get();
  if (fields.count(bhttp::field::content_length) > 1) return "More than one Content-Length.";
  if (fields.count(bhttp::field::host) > 1) return "More than one Host.";
  if (fields.count(bhttp::field::transfer_encoding) == 0) return {};
  if (fields.version() == 10) return "Transfer-Encoding in an HTTP/1.0 request.";
  const bool is_chunked =
      fields.count(bhttp::field::transfer_encoding) == 1 &&
      http::EqualsIgnoringCase(fields[bhttp::field::transfer_encoding], "chunked");
  return is_chunked ? std::string() : "Transfer-Encoding can only be \"chunked\".";
}

std::string ParseObjection(const error_code& ec) {
  if (ec == bhttp::error::bad_version) return "Only HTTP/1.0 and HTTP/1.1 are spoken here.";
  if (ec == bhttp::error::bad_content_length)
    return "Content-Length is not one number, or conflicts with Transfer-Encoding.";
  if (ec == bhttp::error::multiple_content_length) return "More than one Content-Length.";
  if (ec == bhttp::error::bad_transfer_encoding)
    return "Transfer-Encoding conflicts with another header field.";
  return "The request is not HTTP: " + ec.message() + ".";
}

// What to tell a client whose body cannot be read; empty: it is gone or too slow, and the
// stream closed itself on that.
std::string BodyObjection(const error_code& ec) {
  const bool is_parsers = ec.category() == make_error_code(bhttp::error::bad_chunk).category();
  const bool is_end = ec == bhttp::error::partial_message || ec == bhttp::error::end_of_stream;
  if (!is_parsers || is_end) return {};
  return "The request body is not HTTP: " + ec.message() + ".";
}

}  // namespace

Connection::Connection(Socket socket, Service& service, std::string remote_address)
    : service_(service),
      strand_(socket.get_executor()),
      stream_(std::move(socket)),
      buffer_(service.limits.head_bytes + service.limits.pipelined_bytes + kPieceBytes),
      remote_address_(std::move(remote_address)) {}

net::awaitable<void> Connection::Run() {
  for (;;) {
    const Next next = co_await ServeOne();
    if (next == Next::kClose) break;
  }
  stream_.close();
}

void Connection::Drain() {
  net::post(strand_, [self = shared_from_this()] {
    if (self->is_idle_) self->stream_.close();
  });
}

void Connection::Abort() {
  net::post(strand_, [self = shared_from_this()] {
    self->is_aborted_ = true;
    self->stream_.close();
    if (self->forwarding_ != nullptr) self->forwarding_->Cancel();
    if (self->completion_) self->completion_->wake.expires_at(steady_clock::time_point::min());
  });
}

net::awaitable<std::optional<std::size_t>> Connection::ReadHead() {
  const Limits& limits = service_.limits;
  HeadScanner scanner({limits.request_line_bytes, limits.head_bytes, limits.head_fields});
  is_idle_ = true;
  bool has_begun = false;
  stream_.expires_after(limits.idle_timeout);
  for (;;) {
    if (!has_begun) buffer_.consume(HeadScanner::SkippedPrefix(View(buffer_)));
    if (buffer_.size() > 0 && !has_begun && View(buffer_) != "\r") {
      has_begun = true;
      is_idle_ = false;
      stream_.expires_after(limits.head_timeout);
    }
    if (has_begun) {
      const auto state = scanner.Scan(View(buffer_));
      if (state == HeadScanner::State::kComplete) co_return scanner.head_size();
      if (state == HeadScanner::State::kRefused) {
        co_await Refuse(scanner.status(), scanner.reason());
        co_return std::nullopt;
      }
    }
    if (is_aborted_ || (service_.is_draining && !has_begun)) co_return std::nullopt;
    const auto space = buffer_.prepare(std::min(kPieceBytes, buffer_.max_size() - buffer_.size()));
    const auto [ec, count] = co_await stream_.async_read_some(space, kAwait);
    if (ec) co_return std::nullopt;
    buffer_.commit(count);
  }
}

net::awaitable<void> Connection::Refuse(int status, std::string reason) {
  request_ = std::make_unique<Request>();
  request_->head.trans_id = NewTransId({});
  request_->response = http::TextResponse(status, std::move(reason));
  const bool is_sent = co_await WriteResponse(false);
  Record();
  if (is_sent) co_await LingeringClose();
}

std::string Connection::ParseHead(std::size_t size) {
  request_ = std::make_unique<Request>();
  Request& request = *request_;
  RequestParser& parser = request.parser;
  parser.header_limit(static_cast<std::uint32_t>(size + 1));
  parser.body_limit(boost::none);
  error_code ec;
  const std::size_t used = parser.put(net::buffer(buffer_.data(), size), ec);
  if (!ec && (!parser.is_header_done() || used != size)) ec = bhttp::error::bad_field;
  if (ec) return ParseObjection(ec);
  buffer_.consume(used);

  http::RequestHead& head = request.head;
  const auto& message = parser.get();
  head.method = message.method_string();
  head.target = message.target();
  for (const auto& field : message) head.headers.Add(field.name_string(), field.value());
  if (const auto length = parser.content_length()) head.content_length = *length;
  head.is_chunked = parser.chunked();
  head.trans_id = NewTransId(head.headers.Get("X-Trans-Id-Extra").value_or(""));
  head.remote_address = remote_address_;
  request.is_head = head.method == "HEAD";
  request.is_http_10 = message.version() == 10;
  request.wants_keep_alive = message.keep_alive();
  request.has_body = head.is_chunked || head.content_length.value_or(0) > 0;
  const auto connection = head.headers.Get("Connection");
  request.said_keep_alive = connection && http::EqualsIgnoringCase(*connection, "keep-alive");
  const auto expect = head.headers.Get("Expect");
  request.expects_continue =
      expect && !request.is_http_10 && http::EqualsIgnoringCase(*expect, "100-continue");
  return FramingObjection(parser);
}

net::awaitable<Connection::Next> Connection::ServeOne() {
  request_.reset();
  const std::optional<std::size_t> head_size = co_await ReadHead();
  if (!head_size.has_value()) co_return Next::kClose;
  std::string objection = ParseHead(*head_size);
  if (!objection.empty()) {
    co_await Refuse(400, std::move(objection));
    co_return Next::kClose;
  }
  Request& request = *request_;
  if (request.head.headers.Has("Expect") && !request.expects_continue && !request.is_http_10) {
    request.response = http::TextResponse(417, "The only expectation met here is 100-continue.");
    co_return co_await Answer();
  }
  http::Handler::Begun begun = service_.handler->Begin(request.head);
  if (auto* response = std::get_if<http::Response>(&begun)) {
    request.response = std::move(*response);
    co_return co_await Answer();
  }
  if (std::holds_alternative<http::Forward>(begun)) co_return co_await ServeForward();
  request.exchange = std::move(std::get<std::unique_ptr<http::Exchange>>(begun));
  co_return co_await ServeExchange();
}

net::awaitable<Connection::Next> Connection::ServeExchange() {
  const Pumped pumped = co_await PumpBody();
  bool has_answer = pumped == Pumped::kAnswerNow;
  if (pumped == Pumped::kWhole) has_answer = co_await AwaitAnswer();
  if (has_answer) co_return co_await Answer();
  // Cancels the work, if the exchange was not told everything or has not answered yet.
  request_->exchange.reset();
  if (request_->record.status == 0) request_->record.status = 499;
  Record();
  co_return Next::kClose;
}

net::awaitable<Connection::Next> Connection::ServeForward() {
  Request& request = *request_;
  if (service_.upstream == nullptr) {
    request.response = http::TextResponse(502, "There is no upstream to answer this.");
    co_return co_await Answer();
  }
  Forwarding forwarding(stream_, buffer_, request, service_.limits, *service_.upstream);
  const bool keep_alive = request.wants_keep_alive && !service_.is_draining;
  forwarding_ = &forwarding;
  const Forwarding::Outcome outcome = co_await forwarding.Run(keep_alive);
  forwarding_ = nullptr;
  if (outcome == Forwarding::Outcome::kFailed) co_return co_await Answer();
  if (request.record.status == 0) request.record.status = 499;
  Record();
  if (outcome == Forwarding::Outcome::kAnswered) co_return Next::kRequest;
  if (outcome == Forwarding::Outcome::kClose) co_await LingeringClose();
  co_return Next::kClose;
}

net::awaitable<Connection::Pumped> Connection::PumpBody() {
  Request& request = *request_;
  if (!request.has_body) co_return Pumped::kWhole;
  if (request.expects_continue && buffer_.size() == 0) {
    constexpr std::string_view kContinue = "HTTP/1.1 100 Continue\r\n\r\n";
    const std::array<net::const_buffer, 1> pieces = {net::buffer(kContinue)};
    const bool is_sent = co_await Write(pieces);
    if (!is_sent) co_return Pumped::kGone;
  }
  request.has_asked_for_body = true;
  std::vector<std::byte> piece(static_cast<std::size_t>(
      std::min<std::uint64_t>(kPieceBytes, request.head.content_length.value_or(kPieceBytes))));
  while (!request.parser.is_done()) {
    auto& body = request.parser.get().body();
    body.data = piece.data();
    body.size = piece.size();
    stream_.expires_after(service_.limits.read_timeout);
    auto [ec, count] = co_await bhttp::async_read_some(stream_, buffer_, request.parser, kAwait);
    if (ec && ec != bhttp::error::need_buffer) {
      if (ec == beast::error::timeout) request.record.status = 408;
      std::string objection = BodyObjection(ec);
      if (objection.empty()) co_return Pumped::kGone;
      request.exchange.reset();
      request.response = http::TextResponse(400, std::move(objection));
      const bool is_sent = co_await WriteResponse(false);
      if (is_sent) co_await LingeringClose();
      co_return Pumped::kGone;
    }
    const std::size_t filled = piece.size() - body.size;
    request.record.bytes_in += filled;
    if (filled == 0) continue;
    const Result<void> written =
        request.exchange->Write(std::span<const std::byte>(piece.data(), filled));
    if (!written.has_value()) {
      request.response = http::ErrorResponse(written.error());
      co_return Pumped::kAnswerNow;
    }
  }
  co_return Pumped::kWhole;
}

net::awaitable<bool> Connection::AwaitAnswer() {
  auto completion = std::make_shared<Completion>(strand_);
  completion->wake.expires_at(steady_clock::time_point::max());
  const std::weak_ptr<Completion> weak = completion;
  request_->exchange->Finish([weak](http::Response response) {
    const auto target = weak.lock();
    if (target == nullptr) return;
    const std::lock_guard lock(target->mutex);
    if (target->answer.has_value()) return;
    target->answer = std::move(response);
    if (!target->is_awaited) return;
    // A time in the past, not a cancel: it also ends a wait that has not begun yet.
    net::post(target->strand,
              [target] { target->wake.expires_at(steady_clock::time_point::min()); });
  });
  bool must_wait = false;
  {
    const std::lock_guard lock(completion->mutex);
    must_wait = !completion->answer.has_value();
    completion->is_awaited = must_wait;
  }
  if (must_wait && !is_aborted_) {
    using net::experimental::awaitable_operators::operator||;
    completion_ = completion;
    auto woken = completion->wake.async_wait(kAwait);
    auto peer_gone = WatchPeer();
    co_await (std::move(woken) || std::move(peer_gone));
    completion_.reset();
  }
  const std::lock_guard lock(completion->mutex);
  std::optional<http::Response>& answer = completion->answer;
  if (!is_aborted_ && answer.has_value()) request_->response = std::move(*answer);
  co_return !is_aborted_ && answer.has_value();
}

// Returns when the client has closed its end. Bytes that it sends ahead are kept for the next
// request; past pipelined_bytes nothing is read, and the end is not seen any more.
net::awaitable<void> Connection::WatchPeer() {
  while (buffer_.size() < service_.limits.pipelined_bytes) {
    const auto [ec] = co_await stream_.socket().async_wait(net::socket_base::wait_read, kAwait);
    if (ec) co_return;
    const auto space = buffer_.prepare(service_.limits.pipelined_bytes - buffer_.size());
    const ssize_t count =
        ::recv(stream_.socket().native_handle(), space.data(), space.size(), MSG_DONTWAIT);
    if (count > 0) {
      buffer_.commit(static_cast<std::size_t>(count));
    } else if (count == 0 || (errno != EAGAIN && errno != EINTR)) {
      co_return;
    }
  }
  Timer never(strand_, steady_clock::time_point::max());
  co_await never.async_wait(kAwait);
}

net::awaitable<Connection::Next> Connection::Answer() {
  Request& request = *request_;
  // A body that was not read: reading it away keeps the connection only if it is known to be short,
  // and if the client is not still waiting to be told to send it.
  const bool is_unread = request.has_body && !request.parser.is_done();
  const bool can_drain =
      (!request.expects_continue || request.has_asked_for_body) &&
      request.head.content_length.value_or(UINT64_MAX) <= service_.limits.drained_bytes;
  const bool keep_alive =
      request.wants_keep_alive && !service_.is_draining && (!is_unread || can_drain);
  const bool is_whole = co_await WriteResponse(keep_alive);
  Record();
  request.response = {};
  request.exchange.reset();
  if (!is_whole) co_return Next::kClose;
  if (!keep_alive) {
    co_await LingeringClose();
    co_return Next::kClose;
  }
  if (is_unread) {
    const bool is_drained = co_await DrainBody();
    if (!is_drained) co_return Next::kClose;
  }
  co_return Next::kRequest;
}

net::awaitable<bool> Connection::WriteResponse(bool keep_alive) {
  Request& request = *request_;
  const http::Response& response = request.response;
  const ResponseContext context{.is_head_request = request.is_head,
                                .is_http_10 = request.is_http_10,
                                .keep_alive = keep_alive,
                                .client_said_keep_alive = request.said_keep_alive,
                                .trans_id = request.head.trans_id,
                                .now = std::time(nullptr)};
  const BodyFrame frame = FrameOf(response, context);
  request.record.status = response.status;
  std::string head = RenderHead(response, frame, context);
  if (frame.framing != Framing::kNone && response.body != nullptr) {
    co_return co_await WriteBody(frame, std::move(head));
  }
  const bool has_body = frame.framing != Framing::kNone;
  if (has_body) request.record.bytes_out = response.text.size();
  const std::array<net::const_buffer, 2> pieces = {
      net::buffer(head), has_body ? net::buffer(response.text) : net::const_buffer()};
  co_return co_await Write(pieces);
}

net::awaitable<bool> Connection::WriteBody(BodyFrame frame, std::string head) {
  RequestRecord& record = request_->record;
  http::BodySource& source = *request_->response.body;
  constexpr std::string_view kEnd = "\r\n";
  constexpr std::string_view kLastChunk = "0\r\n\r\n";
  const std::uint64_t total = frame.length.value_or(UINT64_MAX);
  std::vector<std::byte> piece(
      static_cast<std::size_t>(std::min<std::uint64_t>(2 * kPieceBytes, total)));
  std::string prefix = std::move(head);
  for (bool is_last = false; !is_last;) {
    std::span<std::byte> space(piece);
    space = space.first(
        static_cast<std::size_t>(std::min<std::uint64_t>(total - record.bytes_out, space.size())));
    std::size_t count = 0;
    if (!space.empty()) {
      const Result<std::size_t> read = source.Read(space);
      // The head may be on its way: the only honest sign of a broken body is a broken connection.
      if (!read.has_value()) co_return false;
      count = *read;
    }
    record.bytes_out += count;
    is_last = count == 0 || record.bytes_out == total;
    if (frame.framing == Framing::kLength && is_last && record.bytes_out != total) co_return false;
    const bool is_chunk = frame.framing == Framing::kChunked;
    if (is_chunk && count > 0) {
      std::array<char, 20> size{};
      const int length = std::snprintf(size.data(), size.size(), "%zx\r\n", count);
      prefix.append(size.data(), static_cast<std::size_t>(length));
    }
    const std::array<net::const_buffer, 3> pieces = {
        net::buffer(prefix), net::buffer(piece.data(), count),
        !is_chunk ? net::const_buffer() : net::buffer(count > 0 ? kEnd : kLastChunk)};
    const bool is_sent = co_await Write(pieces);
    if (!is_sent) co_return false;
    prefix.clear();
  }
  co_return true;
}

net::awaitable<bool> Connection::Write(std::span<const net::const_buffer> pieces) {
  stream_.expires_after(service_.limits.write_timeout);
  const auto [ec, count] = co_await net::async_write(stream_, pieces, kAwait);
  co_return !ec;
}

net::awaitable<bool> Connection::DrainBody() {
  RequestParser& parser = request_->parser;
  std::vector<std::byte> piece(kPieceBytes);
  while (!parser.is_done()) {
    auto& body = parser.get().body();
    body.data = piece.data();
    body.size = piece.size();
    stream_.expires_after(service_.limits.read_timeout);
    const auto [ec, count] = co_await bhttp::async_read_some(stream_, buffer_, parser, kAwait);
    if (ec && ec != bhttp::error::need_buffer) co_return false;
  }
  co_return true;
}

// Closing a socket with unread bytes sends a reset, which can take the answer away from the client
// before it was read. So: say that nothing more comes, then read until the client has closed too.
net::awaitable<void> Connection::LingeringClose() {
  error_code ignored;
  ignored = stream_.socket().shutdown(net::socket_base::shutdown_send, ignored);
  std::array<std::byte, 4096> piece{};
  std::uint64_t left = service_.limits.drained_bytes;
  stream_.expires_after(service_.limits.linger_timeout);
  for (;;) {
    const net::mutable_buffer space = net::buffer(piece);
    const auto [ec, count] = co_await stream_.async_read_some(space, kAwait);
    if (ec || count > left) co_return;
    left -= count;
  }
}

void Connection::Record() {
  if (!service_.on_request) return;
  Request& request = *request_;
  RequestRecord& record = request.record;
  record.method = request.head.method;
  record.target = request.head.target;
  record.remote_address = remote_address_;
  record.trans_id = request.head.trans_id;
  record.duration =
      std::chrono::duration_cast<std::chrono::microseconds>(steady_clock::now() - request.start);
  service_.on_request(record);
}

}  // namespace zerocloud::server
