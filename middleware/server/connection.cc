#include "middleware/server/connection.h"

#include <sys/socket.h>

#include <array>
#include <boost/asio/post.hpp>
#include <utility>
#include <vector>

#include "middleware/http/reply.h"
#include "middleware/http/text.h"
#include "middleware/server/head_scanner.h"
#include "middleware/server/proxy_header.h"
#include "middleware/server/trans_id.h"

namespace zerocloud::server {

using boost::system::error_code;
using std::chrono::steady_clock;

namespace {

constexpr auto kPast = steady_clock::time_point::min();
// What is asked for when a request is expected.
constexpr std::size_t kHeadPiece = std::size_t{8} * 1024;

}  // namespace

Connection::Connection(Socket socket, std::size_t thread, Service& service,
                       std::string remote_address)
    : service_(service),
      settings_version_(service.version()),
      settings_(service.Current()),
      thread_(thread),
      wire_(std::make_shared<Wire>(std::move(socket))),
      buffer_(settings_->limits.head_bytes + settings_->limits.pipelined_bytes + kPieceBytes),
      remote_address_(std::move(remote_address)) {}

net::awaitable<void> Connection::Run() {
  const bool is_good = co_await Begin();
  while (is_good) {
    const Next next = co_await ServeOne();
    if (next == Next::kClose) break;
  }
}

net::awaitable<bool> Connection::Begin() {
  if (settings_->expects_proxy_header) {
    const bool is_read = co_await ReadProxyHeader();
    if (!is_read) co_return false;
  }
  if (settings_->tls == nullptr) co_return true;
  const std::string already_read(View(buffer_));
  buffer_.clear();
  const error_code failure = co_await wire_->Handshake(
      settings_->tls->NewServerSession(), settings_->limits.head_timeout, already_read);
  co_return !failure;
}

net::awaitable<bool> Connection::ReadProxyHeader() {
  for (;;) {
    ProxyHeader header = ParseProxyHeader(View(buffer_));
    if (header.state == ProxyHeader::State::kRefused) co_return false;
    if (header.state == ProxyHeader::State::kComplete) {
      buffer_.consume(header.size);
      if (!header.client.empty()) remote_address_ = std::move(header.client);
      co_return true;
    }
    const Wire::Moved moved = co_await wire_->Read(
        buffer_.prepare(kMaxProxyHeaderBytes - buffer_.size()), settings_->limits.head_timeout);
    if (moved.error) co_return false;
    buffer_.commit(moved.count);
  }
}

void Connection::Drain() {
  net::post(wire_->executor(), [self = shared_from_this()] {
    if (self->is_idle_) self->wire_->Close();
  });
}

void Connection::Abort() {
  net::post(wire_->executor(), [self = shared_from_this()] {
    self->is_aborted_ = true;
    self->wire_->Close();
    if (self->forwarding_ != nullptr) self->forwarding_->Cancel();
    if (self->completion_) self->completion_->wake.expires_at(kPast);
  });
}

net::awaitable<std::optional<std::size_t>> Connection::ReadHead() {
  const Limits& limits = settings_->limits;
  HeadScanner scanner({limits.request_line_bytes, limits.head_bytes, limits.head_fields});
  is_idle_ = true;
  bool has_begun = false;
  auto deadline = CoarseNow() + limits.idle_timeout;
  for (;;) {
    if (!has_begun) buffer_.consume(HeadScanner::SkippedPrefix(View(buffer_)));
    if (buffer_.size() > 0 && !has_begun && View(buffer_) != "\r") {
      has_begun = true;
      is_idle_ = false;
      deadline = CoarseNow() + limits.head_timeout;
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
    if (buffer_.size() == buffer_.max_size()) {
      co_await Refuse(431, "The request head is too long for this connection.");
      co_return std::nullopt;
    }
    const auto left = std::chrono::ceil<Wire::Limit>(deadline - CoarseNow());
    const error_code failure =
        co_await wire_->Fill(&buffer_, kHeadPiece, std::max(left, Wire::Limit(0)));
    if (failure) co_return std::nullopt;
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

std::optional<HeadObjection> Connection::ParseHead(std::size_t size) {
  auto parsed = ParseRequestHead(View(buffer_).substr(0, size));
  if (auto* objection = std::get_if<HeadObjection>(&parsed)) return std::move(*objection);
  auto& parts = std::get<RequestHeadParts>(parsed);
  buffer_.consume(size);

  request_ = std::make_unique<Request>();
  Request& request = *request_;
  http::RequestHead& head = request.head;
  head.method = std::move(parts.method);
  head.target = std::move(parts.target);
  head.headers = std::move(parts.headers);
  head.content_length = parts.content_length;
  head.is_chunked = parts.framing.kind == BodyFraming::Kind::kChunked;
  head.trans_id = NewTransId(head.headers.Get("X-Trans-Id-Extra").value_or(""));
  head.remote_address = remote_address_;
  request.is_head = head.method == "HEAD";
  request.is_http_10 = parts.is_http_10;
  request.wants_keep_alive = parts.wants_keep_alive;
  request.has_body = parts.framing.kind != BodyFraming::Kind::kNone;
  if (request.has_body) {
    request.body = std::make_unique<BodyReader>(*wire_, buffer_, parts.framing);
  }
  const auto connection = head.headers.Get("Connection");
  request.said_keep_alive = connection && http::EqualsIgnoringCase(*connection, "keep-alive");
  const auto expect = head.headers.Get("Expect");
  request.expects_continue =
      expect && !request.is_http_10 && http::EqualsIgnoringCase(*expect, "100-continue");
  return std::nullopt;
}

net::awaitable<Connection::Next> Connection::ServeOne() {
  request_.reset();
  // buffer_ keeps the bounds that it began with: a head that needs more is refused as too long.
  if (const std::uint64_t version = service_.version(); version != settings_version_) {
    settings_ = service_.Current();
    settings_version_ = version;
  }
  const std::optional<std::size_t> head_size = co_await ReadHead();
  if (!head_size.has_value()) co_return Next::kClose;
  std::optional<HeadObjection> objection = ParseHead(*head_size);
  if (objection.has_value()) {
    co_await Refuse(objection->status, std::move(objection->sentence));
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
  if (settings_->upstream == nullptr) {
    request.response = http::TextResponse(502, "There is no upstream to answer this.");
    co_return co_await Answer();
  }
  Forwarding forwarding(*wire_, buffer_, request, settings_->limits, *settings_->upstream, thread_,
                        service_.is_draining);
  forwarding_ = &forwarding;
  const Forwarding::Outcome outcome = co_await forwarding.Run();
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
  for (;;) {
    const BodyReader::Got got = co_await request.body->Next(settings_->limits.read_timeout);
    if (got == BodyReader::Got::kEnd) break;
    if (got != BodyReader::Got::kData) {
      if (got == BodyReader::Got::kTimeout) request.record.status = 408;
      if (got != BodyReader::Got::kRefused) co_return Pumped::kGone;
      request.exchange.reset();
      request.response = http::TextResponse(
          400, "The request body is not HTTP: " + std::string(request.body->reason()));
      const bool is_sent = co_await WriteResponse(false);
      if (is_sent) co_await LingeringClose();
      co_return Pumped::kGone;
    }
    const std::string_view piece = request.body->data();
    request.record.bytes_in += piece.size();
    const Result<void> written = request.exchange->Write(std::as_bytes(std::span(piece)));
    if (!written.has_value()) {
      request.response = http::ErrorResponse(written.error());
      co_return Pumped::kAnswerNow;
    }
  }
  co_return Pumped::kWhole;
}

net::awaitable<bool> Connection::AwaitAnswer() {
  auto completion = std::make_shared<Completion>(wire_->executor());
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
    net::post(target->executor, [target] { target->wake.expires_at(kPast); });
  });
  bool must_wait = false;
  {
    const std::lock_guard lock(completion->mutex);
    must_wait = !completion->answer.has_value();
    completion->is_awaited = must_wait;
  }
  if (must_wait && !is_aborted_) {
    completion_ = completion;
    wire_->Watch(buffer_, settings_->limits.pipelined_bytes,
                 [target = completion.get()] { target->wake.expires_at(kPast); });
    co_await completion->wake.async_wait(kAwait);
    wire_->Unwatch();
    completion_.reset();
  }
  const std::lock_guard lock(completion->mutex);
  std::optional<http::Response>& answer = completion->answer;
  if (!is_aborted_ && answer.has_value()) request_->response = std::move(*answer);
  co_return !is_aborted_ && answer.has_value();
}

net::awaitable<Connection::Next> Connection::Answer() {
  Request& request = *request_;
  // A body that was not read: reading it away keeps the connection only if it is known to be short,
  // and if the client is not still waiting to be told to send it.
  const bool is_unread = request.has_body && !request.body->is_done();
  const bool can_drain =
      (!request.expects_continue || request.has_asked_for_body) &&
      request.head.content_length.value_or(UINT64_MAX) <= settings_->limits.drained_bytes;
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
  const error_code ec = co_await wire_->Write(pieces, settings_->limits.write_timeout);
  co_return !ec;
}

net::awaitable<bool> Connection::DrainBody() {
  for (;;) {
    const BodyReader::Got got = co_await request_->body->Next(settings_->limits.read_timeout);
    if (got != BodyReader::Got::kData) co_return got == BodyReader::Got::kEnd;
  }
}

// Closing a socket with unread bytes sends a reset, which can take the answer away from the client
// before it was read. So: say that nothing more comes, then read until the client has closed too.
net::awaitable<void> Connection::LingeringClose() {
  wire_->ShutdownSend();
  std::uint64_t left = settings_->limits.drained_bytes;
  const auto deadline = steady_clock::now() + settings_->limits.linger_timeout;
  for (;;) {
    const auto limit = std::chrono::ceil<Wire::Limit>(deadline - steady_clock::now());
    buffer_.clear();
    const error_code failure =
        co_await wire_->Fill(&buffer_, kHeadPiece, std::max(limit, Wire::Limit(0)));
    if (failure || buffer_.size() > left) co_return;
    left -= buffer_.size();
  }
}

void Connection::Record() {
  if (!service_.on_request) return;
  Request& request = *request_;
  RequestRecord& record = request.record;
  record.head = &request.head;
  record.is_http_10 = request.is_http_10;
  if (record.trans_id.empty()) record.trans_id = request.head.trans_id;
  record.duration =
      std::chrono::duration_cast<std::chrono::microseconds>(steady_clock::now() - request.start);
  service_.on_request(record);
}

}  // namespace zerocloud::server
