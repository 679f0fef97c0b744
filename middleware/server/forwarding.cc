#include "middleware/server/forwarding.h"

#include <algorithm>
#include <array>
#include <boost/asio/co_spawn.hpp>
#include <cstdio>
#include <utility>

#include "middleware/http/date.h"
#include "middleware/http/reply.h"
#include "middleware/http/text.h"

namespace zerocloud::server {
namespace {

using boost::system::error_code;

// An answer's head: far more than Swift ever sends.
constexpr HeadLimits kAnswerLimits = {
    .line_bytes = 8192, .total_bytes = std::size_t{256} * 1024, .field_count = 2000};

// Whether a field concerns one hop only: by its name, or because Connection names it.
bool IsHopByHop(std::string_view name, std::string_view connection) {
  constexpr std::array<std::string_view, 9> kHop = {
      "Connection", "Keep-Alive",        "Proxy-Connection", "Proxy-Authorization", "TE",
      "Trailer",    "Transfer-Encoding", "Upgrade",          "Proxy-Authenticate"};
  for (const std::string_view hop : kHop) {
    if (name.size() == hop.size() && http::EqualsIgnoringCase(name, hop)) return true;
  }
  if (connection.empty()) return false;
  for (const std::string_view named : http::SplitTrimmed(connection, ',')) {
    if (http::EqualsIgnoringCase(name, named)) return true;
  }
  return false;
}

// What all Connection fields name.
std::string ConnectionOf(const http::Headers& headers) {
  std::string named;
  for (const auto& [name, value] : headers) {
    if (http::EqualsIgnoringCase(name, "Connection")) named.append(value).append(",");
  }
  return named;
}

void AppendField(std::string& out, std::string_view name, std::string_view value) {
  out.append(name).append(": ").append(value).append("\r\n");
}

std::string ChunkPrefix(std::size_t count) {
  std::array<char, 20> size{};
  const int length = std::snprintf(size.data(), size.size(), "%zx\r\n", count);
  return {size.data(), static_cast<std::size_t>(length)};
}

constexpr std::string_view kChunkEnd = "\r\n";
constexpr std::string_view kLastChunk = "0\r\n\r\n";
// A body that is shorter goes up with the head.
constexpr std::size_t kShortBody = std::size_t{16} * 1024;
// What is asked for when a head is expected.
constexpr std::size_t kHeadPiece = std::size_t{16} * 1024;
// So much of a body is worth a pipe.
constexpr std::uint64_t kWorthSplicing = std::uint64_t{256} * 1024;
// More answers of 1xx to one request than any server sends.
constexpr int kMaxInformational = 100;

// Buffers for answers, kept by each thread for its next request.
constexpr std::size_t kKeptBuffers = 8;
thread_local std::vector<beast::flat_buffer> kept_buffers;

beast::flat_buffer TakeBuffer() {
  if (kept_buffers.empty()) return beast::flat_buffer(kAnswerLimits.total_bytes + kPieceBytes);
  beast::flat_buffer buffer = std::move(kept_buffers.back());
  kept_buffers.pop_back();
  return buffer;
}

void KeepBuffer(beast::flat_buffer buffer) {
  if (kept_buffers.size() >= kKeptBuffers || buffer.capacity() > 2 * kPieceBytes) return;
  buffer.clear();
  kept_buffers.push_back(std::move(buffer));
}

}  // namespace

Forwarding::Forwarding(Wire& client, beast::flat_buffer& client_buffer, Request& request,
                       const Limits& limits, Upstream& upstream, std::size_t thread,
                       const std::atomic<bool>& is_draining)
    : client_(client),
      client_buffer_(client_buffer),
      request_(request),
      limits_(limits),
      upstream_(upstream),
      thread_(thread),
      is_draining_(is_draining),
      peer_buffer_(TakeBuffer()) {}

Forwarding::~Forwarding() { KeepBuffer(std::move(peer_buffer_)); }

std::string Forwarding::RequestText() const {
  const http::RequestHead& head = request_.head;
  const std::string connection = ConnectionOf(head.headers);
  std::string text;
  text.reserve(1024 + head.target.size());
  text.append(head.method).append(" ").append(head.target).append(" HTTP/1.1\r\n");
  std::string forwarded;
  for (const auto& [name, value] : head.headers) {
    if (IsHopByHop(name, connection)) continue;
    if (request_.is_http_10 && http::EqualsIgnoringCase(name, "Expect")) continue;
    if (http::EqualsIgnoringCase(name, "X-Forwarded-For")) {
      if (!forwarded.empty()) forwarded += ", ";
      forwarded += value;
      continue;
    }
    AppendField(text, name, value);
  }
  // Swift logs the first of them as the client.
  if (!head.remote_address.empty()) {
    forwarded += (forwarded.empty() ? "" : ", ") + head.remote_address;
  }
  if (!forwarded.empty()) AppendField(text, "X-Forwarded-For", forwarded);
  if (!head.headers.Has("Host")) AppendField(text, "Host", upstream_.authority());
  if (head.is_chunked) AppendField(text, "Transfer-Encoding", "chunked");
  text.append("\r\n");
  return text;
}

std::string Forwarding::ResponseText(bool keep_alive, bool is_chunked) const {
  const std::string connection = ConnectionOf(answer_.headers);
  std::string text;
  text.reserve(1024);
  text.append("HTTP/1.1 ").append(std::to_string(answer_.status)).append(" ");
  text.append(answer_.reason).append("\r\n");
  for (const auto& [name, value] : answer_.headers) {
    if (!IsHopByHop(name, connection)) AppendField(text, name, value);
  }
  if (!answer_.headers.Has("X-Trans-Id")) AppendField(text, "X-Trans-Id", request_.head.trans_id);
  if (is_chunked) AppendField(text, "Transfer-Encoding", "chunked");
  if (!keep_alive) {
    AppendField(text, "Connection", "close");
  } else if (request_.said_keep_alive) {
    AppendField(text, "Connection", "keep-alive");
  }
  text.append("\r\n");
  return text;
}

Forwarding::Outcome Forwarding::FailWith(int status, std::string_view sentence) {
  request_.response = http::TextResponse(status, sentence);
  return Outcome::kFailed;
}

Forwarding::Outcome Forwarding::FailFor(HeadWait why) {
  const std::string name = "The upstream " + upstream_.authority();
  switch (why) {
    case HeadWait::kClientGone:
      if (!is_nonsense_) return Outcome::kBroken;
      return FailWith(400, "The request body is not HTTP: " + std::string(request_.body->reason()));
    case HeadWait::kTimeout:
      return FailWith(504, name + " did not answer in time.");
    case HeadWait::kNonsense:
      return FailWith(502, name + " did not answer with HTTP.");
    case HeadWait::kUpstreamGone:
    case HeadWait::kHead:
      break;
  }
  return FailWith(502, name + " closed the connection without an answer.");
}

void Forwarding::Cancel() {
  is_cancelled_ = true;
  if (peer_.wire != nullptr) peer_.wire->Close();
}

// An idle connection can have been closed from the other side just now. That is nobody's fault, and
// a request that means the same twice, and of which all that was sent is still here, can be sent
// again.
bool Forwarding::CanTryAgain() const {
  constexpr std::array<std::string_view, 5> kIdempotent = {"GET", "HEAD", "OPTIONS", "PUT",
                                                           "DELETE"};
  const bool is_idempotent =
      std::ranges::find(kIdempotent, request_.head.method) != kIdempotent.end();
  return is_reused_ && !is_cancelled_ && given_up_for_ == HeadWait::kHead && is_idempotent &&
         request_.record.bytes_in == start_body_ && is_uploaded_ == is_start_whole_;
}

net::awaitable<Forwarding::Outcome> Forwarding::Run() {
  PrepareStart();
  if (is_nonsense_) co_return FailFor(HeadWait::kClientGone);
  for (const bool may_reuse : {true, false}) {
    if (!StartNow(may_reuse)) {
      const bool is_sent = co_await SendStart(may_reuse);
      if (!is_sent) co_return Outcome::kFailed;
    }
    if (is_cancelled_) co_return Outcome::kBroken;
    must_try_again_ = false;
    is_over_ = false;
    if (HasPassedRequest() || (request_.expects_continue && !request_.has_asked_for_body)) {
      WatchClient();
    } else {
      StartUpload();
    }
    Outcome outcome = co_await AnswerSide();
    is_over_ = true;
    client_.Unwatch();
    if (is_uploading_) co_await StopUpload();
    if (must_try_again_ && CanTryAgain()) continue;
    if (must_try_again_) outcome = FailFor(HeadWait::kUpstreamGone);
    if (request_.has_body && outcome == Outcome::kAnswered) request_.body->Release();
    co_return outcome;
  }
  co_return FailFor(HeadWait::kUpstreamGone);
}

net::awaitable<Forwarding::Outcome> Forwarding::AnswerSide() {
  HeadScanner scanner(kAnswerLimits);
  int informational = 0;
  std::optional<HeadWait> waited;
  while (!waited.has_value()) {
    waited = TakeHead(scanner);
    if (!waited.has_value()) {
      const error_code error = co_await peer_.wire->Fill(&peer_buffer_, kHeadPiece, HeadLimit());
      waited = WhyNoHead(error);
      continue;
    }
    if (waited != HeadWait::kHead || answer_.status / 100 != 1) break;
    if (++informational > kMaxInformational) {
      waited = HeadWait::kNonsense;
      break;
    }
    scanner = HeadScanner(kAnswerLimits);
    waited.reset();
    if (answer_.status == 100 && request_.expects_continue && !request_.has_asked_for_body) {
      constexpr std::string_view kContinue = "HTTP/1.1 100 Continue\r\n\r\n";
      const Wire::Pieces pieces = {net::buffer(kContinue)};
      request_.has_asked_for_body = true;
      const bool is_sent = co_await WriteDown(pieces);
      if (!is_sent) co_return Outcome::kBroken;
      client_.Unwatch();
      StartUpload();
    }
  }
  has_head_ = waited == HeadWait::kHead;
  if (has_head_) co_return co_await PassBack();
  must_try_again_ = waited == HeadWait::kUpstreamGone && CanTryAgain();
  co_return must_try_again_ ? Outcome::kBroken : FailFor(*waited);
}

// Closing the upstream's connection is how the other side learns of it.
void Forwarding::GiveUp(HeadWait why) {
  if (is_over_) return;
  given_up_for_ = why;
  if (peer_.wire != nullptr) peer_.wire->Close();
}

void Forwarding::WatchClient() {
  client_.Watch(client_buffer_, limits_.pipelined_bytes, [this] { GiveUp(HeadWait::kClientGone); });
}

void Forwarding::StartUpload() {
  is_uploading_ = true;
  net::co_spawn(client_.executor(), Upload(),
                [this](const std::exception_ptr& error, bool is_client_there) {
                  UploadEnded(!error && is_client_there);
                });
}

void Forwarding::UploadEnded(bool is_client_there) {
  is_uploading_ = false;
  // A time in the past, not a cancel: it also ends a wait that has not begun yet.
  if (upload_over_.has_value()) upload_over_->expires_at(Timer::time_point::min());
  if (is_over_) return;
  if (!is_client_there) return GiveUp(HeadWait::kClientGone);
  // Now the upstream owes something.
  if (!has_head_ && peer_.wire != nullptr) peer_.wire->LimitRead(HeadLimit());
  WatchClient();
}

net::awaitable<void> Forwarding::AwaitUpload() {
  if (!is_uploading_) co_return;
  upload_over_.emplace(client_.executor(), Timer::time_point::max());
  co_await upload_over_->async_wait(kAwait);
}

net::awaitable<void> Forwarding::StopUpload() {
  if (!is_uploading_) co_return;
  if (peer_.wire != nullptr) peer_.wire->Close();
  client_.Interrupt();
  co_await AwaitUpload();
}

void Forwarding::PrepareStart() {
  start_ = RequestText();
  if (!request_.has_body || request_.expects_continue) return;
  const bool is_chunked = request_.head.is_chunked;
  BodyReader& body = *request_.body;
  for (;;) {
    const std::optional<BodyReader::Got> got = body.TakeBuffered();
    is_nonsense_ = got == BodyReader::Got::kRefused;
    is_uploaded_ = got == BodyReader::Got::kEnd;
    if (is_uploaded_ && is_chunked) start_ += kLastChunk;
    is_start_whole_ = is_uploaded_;
    // What is too long is left for Upload().
    const std::string_view piece = body.data();
    if (got != BodyReader::Got::kData || start_body_ + piece.size() > kShortBody) break;
    if (is_chunked) start_ += ChunkPrefix(piece.size());
    start_ += piece;
    if (is_chunked) start_ += kChunkEnd;
    start_body_ += piece.size();
  }
  request_.record.bytes_in = start_body_;
}

bool Forwarding::StartNow(bool may_reuse) {
  peer_ = {};
  peer_buffer_.clear();
  start_left_ = {net::buffer(start_)};
  if (!may_reuse) return false;
  Upstream::Connected connected = upstream_.ConnectNow(thread_);
  if (connected.lease.wire == nullptr) return false;
  peer_ = std::move(connected.lease);
  is_reused_ = true;
  error_code shows_when_reading;
  return peer_.wire->WriteNow(start_left_, shows_when_reading);
}

net::awaitable<bool> Forwarding::SendStart(bool may_reuse) {
  if (peer_.wire == nullptr) {
    const bool is_connected = co_await ConnectUp(may_reuse);
    if (!is_connected) co_return false;
  }
  // A failure shows again when the answer is read; on a reused one it leads to a new connection.
  [[maybe_unused]] const bool is_sent = co_await WriteUp(start_left_);
  co_return true;
}

net::awaitable<bool> Forwarding::ConnectUp(bool may_reuse) {
  Upstream::Connected connected =
      co_await upstream_.Connect(client_.executor(), thread_, may_reuse);
  if (connected.is_full) {
    FailWith(503, "Every connection to the upstream is in use.");
    request_.response.headers.Add("Retry-After", "1");
    co_return false;
  }
  if (connected.lease.wire == nullptr) {
    const bool is_timeout = connected.error == net::error::timed_out;
    FailWith(is_timeout ? 504 : 502, "The upstream " + connected.endpoint +
                                         " cannot be reached: " + connected.error.message() + ".");
    co_return false;
  }
  peer_ = std::move(connected.lease);
  is_reused_ = connected.is_reused;
  co_return true;
}

Wire::Limit Forwarding::HeadLimit() const {
  const bool must_ask = request_.expects_continue && !request_.has_asked_for_body;
  // While a body goes up the upstream owes nothing.
  return is_uploading_ && !must_ask ? Wire::kForever : upstream_.options().response_timeout;
}

std::optional<Forwarding::HeadWait> Forwarding::TakeHead(HeadScanner& scanner) {
  const auto state = scanner.Scan(View(peer_buffer_));
  if (state == HeadScanner::State::kRefused) return HeadWait::kNonsense;
  if (state != HeadScanner::State::kComplete) return std::nullopt;
  auto parsed =
      ParseResponseHead(View(peer_buffer_).substr(0, scanner.head_size()), request_.is_head);
  if (std::holds_alternative<HeadObjection>(parsed)) return HeadWait::kNonsense;
  answer_ = std::move(std::get<ResponseHeadParts>(parsed));
  peer_buffer_.consume(scanner.head_size());
  return HeadWait::kHead;
}

std::optional<Forwarding::HeadWait> Forwarding::WhyNoHead(const error_code& error) const {
  if (given_up_for_ != HeadWait::kHead) return given_up_for_;
  if (error == net::error::timed_out) return HeadWait::kTimeout;
  if (error) return HeadWait::kUpstreamGone;
  return std::nullopt;
}

net::awaitable<bool> Forwarding::Upload() {
  const bool is_chunked = request_.head.is_chunked;
  BodyReader& body = *request_.body;
  bool has_piece = !body.data().empty();  // one that PrepareStart left
  for (bool is_taken = true; is_taken && !is_over_; has_piece = false) {
    const BodyReader::Got got =
        has_piece ? BodyReader::Got::kData : co_await body.Next(limits_.read_timeout);
    if (is_over_) break;
    if (got == BodyReader::Got::kEnd) {
      const Wire::Pieces pieces = {net::buffer(kLastChunk)};
      is_uploaded_ = !is_chunked || co_await WriteUp(pieces);
      break;
    }
    if (got != BodyReader::Got::kData) {
      if (got == BodyReader::Got::kTimeout) request_.record.status = 408;
      is_nonsense_ = got == BodyReader::Got::kRefused;
      co_return false;
    }
    const std::string_view piece = body.data();
    request_.record.bytes_in += piece.size();
    if (body.left_in_socket() >= kWorthSplicing && client_.IsBare() && peer_.wire->CanWriteBare()) {
      const std::optional<bool> is_client_there = co_await SpliceUp(piece);
      if (is_client_there.has_value()) co_return *is_client_there;
      continue;
    }
    const std::string prefix = is_chunked ? ChunkPrefix(piece.size()) : std::string();
    const Wire::Pieces pieces = {net::buffer(prefix), net::buffer(piece),
                                 is_chunked ? net::buffer(kChunkEnd) : net::const_buffer()};
    is_taken = co_await WriteUp(pieces);
  }
  co_return true;
}

net::awaitable<std::optional<bool>> Forwarding::SpliceUp(std::string_view piece) {
  BodyReader& body = *request_.body;
  const Wire::Pieces pieces = {net::buffer(piece)};
  const bool is_taken = co_await WriteUp(pieces);
  if (is_over_ || !is_taken) co_return true;
  body.Release();
  const Wire::Spliced spliced =
      co_await client_.SpliceTo(peer_.wire.get(), body.left_in_socket(), limits_.read_timeout,
                                upstream_.options().response_timeout);
  request_.record.bytes_in += spliced.count;
  body.Skip(spliced.count);
  if (is_over_ || spliced.write_error) co_return true;
  if (!spliced.read_error) co_return std::nullopt;
  if (spliced.read_error == net::error::timed_out) request_.record.status = 408;
  co_return false;
}

net::awaitable<bool> Forwarding::WriteUp(Wire::Pieces pieces) {
  const error_code ec = co_await peer_.wire->Write(pieces, upstream_.options().response_timeout);
  co_return !ec;
}

net::awaitable<bool> Forwarding::WriteDown(Wire::Pieces pieces) {
  const error_code ec = co_await client_.Write(pieces, limits_.write_timeout);
  co_return !ec;
}

net::awaitable<Forwarding::Outcome> Forwarding::PassBack() {
  using Kind = BodyFraming::Kind;
  const Kind kind = answer_.framing.kind;
  const bool has_body = kind != Kind::kNone;
  const bool is_chunked =
      (kind == Kind::kChunked || kind == Kind::kUntilEnd) && !request_.is_http_10;
  const bool ends_with_connection = has_body && !is_chunked && kind != Kind::kLength;
  // A body that was never asked for does not come; else the rest of it goes up before the next
  // request, if the upstream lets it.
  const bool can_finish_request =
      HasWholeRequest() ||
      (answer_.can_keep_alive && (!request_.expects_continue || request_.has_asked_for_body));
  const bool goes_on =
      request_.wants_keep_alive && !is_draining_ && can_finish_request && !ends_with_connection;
  request_.record.status = answer_.status;
  request_.record.trans_id = answer_.headers.Get("X-Trans-Id").value_or("");
  std::string head = ResponseText(goes_on, is_chunked);
  if (has_body) {
    answer_body_ = std::make_unique<BodyReader>(*peer_.wire, peer_buffer_, answer_.framing);
    if (peer_buffer_.size() == 0) {
      // The body may take its time: a large object's segments, a heartbeat.
      const Wire::Pieces pieces = {net::buffer(head)};
      const bool is_sent = co_await WriteDown(pieces);
      if (!is_sent) co_return Outcome::kBroken;
      head.clear();
    }
    const bool is_passed = co_await PassBodyBack(std::move(head), is_chunked);
    if (!is_passed) co_return Outcome::kBroken;
  } else {
    KeepIfQuiet(peer_buffer_.size());
    const Wire::Pieces pieces = {net::buffer(head)};
    const bool is_sent = co_await WriteDown(pieces);
    if (!is_sent) co_return Outcome::kBroken;
  }
  if (goes_on && answer_.can_keep_alive && !HasPassedRequest()) co_await AwaitUpload();
  if (answer_body_ != nullptr) answer_body_->Release();
  KeepIfQuiet(peer_buffer_.size());
  const bool is_in_step = goes_on && HasWholeRequest();
  co_return is_in_step ? Outcome::kAnswered : Outcome::kClose;
}

bool Forwarding::HasWholeRequest() const {
  return !request_.has_body || request_.body->is_at_last_piece();
}

bool Forwarding::HasPassedRequest() const { return !request_.has_body || is_uploaded_; }

// As soon as it owes nothing more, not when the client has taken the last bytes: the next request
// may come before that.
void Forwarding::KeepIfQuiet(std::size_t unexpected_bytes) {
  const bool is_quiet = answer_.can_keep_alive && HasPassedRequest() && unexpected_bytes == 0;
  if (is_quiet && peer_.wire != nullptr) upstream_.Keep(std::move(peer_));
}

net::awaitable<bool> Forwarding::PassBodyBack(std::string head, bool is_chunked) {
  std::string prefix = std::move(head);
  for (bool is_last = false; !is_last;) {
    std::optional<BodyReader::Got> got = answer_body_->TakeBuffered();
    if (!got.has_value()) {
      got = co_await answer_body_->Next(upstream_.options().response_timeout);
    }
    // Too late for a status: a body cut short upstream is a connection cut short here.
    if (got != BodyReader::Got::kData && got != BodyReader::Got::kEnd) co_return false;
    const std::string_view piece = answer_body_->data();
    request_.record.bytes_out += piece.size();
    if (is_chunked && !piece.empty()) prefix += ChunkPrefix(piece.size());
    is_last = answer_body_->is_at_last_piece();
    if (is_last) KeepIfQuiet(answer_body_->bytes_after());
    Wire::Pieces pieces = {
        net::buffer(prefix), net::buffer(piece),
        is_chunked && !piece.empty() ? net::buffer(kChunkEnd) : net::const_buffer(),
        is_chunked && is_last ? net::buffer(kLastChunk) : net::const_buffer()};
    error_code failure;
    if (client_.WriteNow(pieces, failure)) {
      if (failure) co_return false;
    } else {
      const bool is_sent = co_await WriteDown(pieces);
      if (!is_sent) co_return false;
    }
    prefix.clear();
    if (answer_body_->left_in_socket() >= kWorthSplicing && client_.CanWriteBare() &&
        peer_.wire->IsBare()) {
      const bool is_passed = co_await SpliceBack();
      if (!is_passed) co_return false;
      is_last = answer_body_->is_at_last_piece();
    }
  }
  co_return true;
}

net::awaitable<bool> Forwarding::SpliceBack() {
  answer_body_->Release();
  const Wire::Spliced spliced =
      co_await peer_.wire->SpliceTo(&client_, answer_body_->left_in_socket(),
                                    upstream_.options().response_timeout, limits_.write_timeout);
  request_.record.bytes_out += spliced.count;
  answer_body_->Skip(spliced.count);
  if (spliced.read_error || spliced.write_error) co_return false;
  if (answer_body_->is_at_last_piece()) KeepIfQuiet(answer_body_->bytes_after());
  co_return true;
}

}  // namespace zerocloud::server
