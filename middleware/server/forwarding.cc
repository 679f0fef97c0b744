#include "middleware/server/forwarding.h"

#include <array>
#include <boost/asio/experimental/awaitable_operators.hpp>
#include <boost/asio/write.hpp>
#include <boost/beast/http/read.hpp>
#include <cstdio>
#include <utility>

#include "middleware/http/date.h"
#include "middleware/http/reply.h"
#include "middleware/http/text.h"

namespace zerocloud::server {
namespace {

namespace bhttp = beast::http;
using boost::system::error_code;

constexpr std::size_t kPieceBytes = std::size_t{64} * 1024;
constexpr std::uint32_t kResponseHeadBytes = 256 * 1024;

// Whether a field concerns one hop only: by its name, or because Connection names it.
bool IsHopByHop(std::string_view name, std::string_view connection) {
  constexpr std::array<std::string_view, 9> kHop = {
      "Connection", "Keep-Alive",        "Proxy-Connection", "Proxy-Authorization", "TE",
      "Trailer",    "Transfer-Encoding", "Upgrade",          "Proxy-Authenticate"};
  for (const std::string_view hop : kHop) {
    if (http::EqualsIgnoringCase(name, hop)) return true;
  }
  for (const std::string_view named : http::SplitTrimmed(connection, ',')) {
    if (http::EqualsIgnoringCase(name, named)) return true;
  }
  return false;
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

}  // namespace

Forwarding::Forwarding(Stream& client, beast::flat_buffer& client_buffer, Request& request,
                       const Limits& limits, Upstream& upstream)
    : client_(client),
      client_buffer_(client_buffer),
      request_(request),
      limits_(limits),
      upstream_(upstream),
      peer_buffer_(kResponseHeadBytes + kPieceBytes) {}

std::string Forwarding::RequestText() const {
  const http::RequestHead& head = request_.head;
  const std::string_view connection = head.headers.Get("Connection").value_or("");
  std::string text = head.method + " " + head.target + " HTTP/1.1\r\n";
  for (const auto& [name, value] : head.headers) {
    if (IsHopByHop(name, connection)) continue;
    if (request_.is_http_10 && http::EqualsIgnoringCase(name, "Expect")) continue;
    AppendField(text, name, value);
  }
  if (!head.headers.Has("Host")) AppendField(text, "Host", upstream_.authority());
  if (head.is_chunked) AppendField(text, "Transfer-Encoding", "chunked");
  return text + "\r\n";
}

std::string Forwarding::ResponseText(bool keep_alive, bool is_chunked) const {
  const auto& message = parser_->get();
  const auto connection = message[bhttp::field::connection];
  std::string text = "HTTP/1.1 " + std::to_string(message.result_int()) + " ";
  text.append(std::string_view(message.reason())).append("\r\n");
  for (const auto& field : message) {
    const std::string_view name = field.name_string();
    if (!IsHopByHop(name, connection)) AppendField(text, name, field.value());
  }
  if (message.count("X-Trans-Id") == 0) AppendField(text, "X-Trans-Id", request_.head.trans_id);
  if (is_chunked) AppendField(text, "Transfer-Encoding", "chunked");
  if (!keep_alive) {
    AppendField(text, "Connection", "close");
  } else if (request_.said_keep_alive) {
    AppendField(text, "Connection", "keep-alive");
  }
  return text + "\r\n";
}

Forwarding::Outcome Forwarding::FailWith(int status, std::string_view sentence) {
  request_.response = http::TextResponse(status, sentence);
  return Outcome::kFailed;
}

Forwarding::Outcome Forwarding::FailFor(HeadWait why) {
  const std::string name = "The upstream " + upstream_.authority();
  switch (why) {
    case HeadWait::kClientGone:
      return Outcome::kBroken;
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
  if (peer_ != nullptr) peer_->close();
}

net::awaitable<Forwarding::Outcome> Forwarding::Run(bool keep_alive) {
  HeadWait waited = HeadWait::kUpstreamGone;
  for (const bool may_reuse : {true, false}) {
    const bool is_sent = co_await SendHead(may_reuse);
    if (!is_sent) co_return Outcome::kFailed;
    const bool must_upload = request_.has_body && !request_.expects_continue;
    waited = must_upload ? co_await ReadHeadWhileUploading() : co_await ReadHead();
    // An idle connection can have been closed from the other side just now. That is nobody's fault,
    // and a request of which the upstream saw no body can be sent again.
    const bool can_retry = !is_cancelled_ && is_reused_ && waited == HeadWait::kUpstreamGone &&
                           request_.record.bytes_in == 0;
    if (!can_retry) break;
  }
  while (waited == HeadWait::kHead && parser_->get().result_int() / 100 == 1) {
    if (parser_->get().result_int() == 100 && request_.expects_continue) {
      constexpr std::string_view kContinue = "HTTP/1.1 100 Continue\r\n\r\n";
      const std::array<net::const_buffer, 1> pieces = {net::buffer(kContinue)};
      const bool is_sent = co_await WriteDown(pieces);
      if (!is_sent) co_return Outcome::kBroken;
      request_.has_asked_for_body = true;
      waited = co_await ReadHeadWhileUploading();
    } else {
      waited = co_await ReadHead();
    }
  }
  if (waited != HeadWait::kHead) {
    peer_.reset();
    co_return FailFor(waited);
  }
  co_return co_await PassBack(keep_alive);
}

net::awaitable<bool> Forwarding::SendHead(bool may_reuse) {
  const Strand strand = client_.get_executor();
  const std::string text = RequestText();
  const std::array<net::const_buffer, 1> pieces = {net::buffer(text)};
  peer_.reset();
  peer_buffer_.clear();
  if (may_reuse) peer_ = upstream_.Reuse(strand);
  is_reused_ = peer_ != nullptr;
  if (is_reused_) {
    // A failure shows again when the answer is read, and leads to a new connection.
    [[maybe_unused]] const bool is_sent = co_await WriteUp(pieces);
    co_return true;
  }
  Upstream::Connected connected = co_await upstream_.Connect(strand);
  if (connected.stream == nullptr) {
    const bool is_timeout = connected.error == net::error::timed_out;
    FailWith(is_timeout ? 504 : 502, "The upstream " + upstream_.authority() +
                                         " cannot be reached: " + connected.error.message() + ".");
    co_return false;
  }
  peer_ = std::move(connected.stream);
  [[maybe_unused]] const bool is_sent = co_await WriteUp(pieces);
  co_return true;
}

net::awaitable<Forwarding::HeadWait> Forwarding::ReadHead() {
  parser_ = std::make_unique<ResponseParser>();
  parser_->header_limit(kResponseHeadBytes);
  parser_->body_limit(boost::none);
  if (request_.is_head) parser_->skip(true);
  const bool is_uploading = request_.has_body && !is_uploaded_ && !request_.expects_continue;
  const bool is_sending = is_uploading || request_.has_asked_for_body;
  // While a body goes up the upstream owes nothing; Upload() keeps the time after that.
  if (is_sending) {
    peer_->expires_never();
  } else {
    peer_->expires_after(upstream_.options().response_timeout);
  }
  const auto [ec, count] =
      co_await bhttp::async_read_header(*peer_, peer_buffer_, *parser_, kAwait);
  if (!ec) co_return HeadWait::kHead;
  if (ec == beast::error::timeout) co_return HeadWait::kTimeout;
  const bool is_parsers = ec.category() == make_error_code(bhttp::error::bad_chunk).category();
  const bool is_end = ec == bhttp::error::end_of_stream || ec == bhttp::error::partial_message;
  co_return is_parsers && !is_end ? HeadWait::kNonsense : HeadWait::kUpstreamGone;
}

net::awaitable<Forwarding::HeadWait> Forwarding::ReadHeadWhileUploading() {
  using net::experimental::awaitable_operators::operator||;
  auto head = ReadHead();
  auto upload = Upload();
  const auto first = co_await (std::move(head) || std::move(upload));
  co_return first.index() == 0 ? std::get<0>(first) : std::get<1>(first);
}

net::awaitable<Forwarding::HeadWait> Forwarding::Upload() {
  const bool is_chunked = request_.head.is_chunked;
  std::vector<std::byte> piece(kPieceBytes);
  bool is_taken = true;
  while (!request_.parser.is_done() && is_taken) {
    auto& body = request_.parser.get().body();
    body.data = piece.data();
    body.size = piece.size();
    client_.expires_after(limits_.read_timeout);
    const auto [ec, count] =
        co_await bhttp::async_read_some(client_, client_buffer_, request_.parser, kAwait);
    if (ec && ec != bhttp::error::need_buffer) co_return HeadWait::kClientGone;
    const std::size_t filled = piece.size() - body.size;
    request_.record.bytes_in += filled;
    if (filled == 0) continue;
    const std::string prefix = is_chunked ? ChunkPrefix(filled) : std::string();
    const std::array<net::const_buffer, 3> pieces = {
        net::buffer(prefix), net::buffer(piece.data(), filled),
        is_chunked ? net::buffer(kChunkEnd) : net::const_buffer()};
    is_taken = co_await WriteUp(pieces);
  }
  if (is_taken && is_chunked) {
    const std::array<net::const_buffer, 1> pieces = {net::buffer(kLastChunk)};
    is_taken = co_await WriteUp(pieces);
  }
  is_uploaded_ = is_taken;
  // The answer (or the end of the connection) is ReadHead's to see; this only keeps the time.
  Timer deadline(client_.get_executor(), upstream_.options().response_timeout);
  co_await deadline.async_wait(kAwait);
  co_return HeadWait::kTimeout;
}

net::awaitable<bool> Forwarding::WriteUp(std::span<const net::const_buffer> pieces) {
  peer_->expires_after(upstream_.options().response_timeout);
  const auto [ec, count] = co_await net::async_write(*peer_, pieces, kAwait);
  co_return !ec;
}

net::awaitable<bool> Forwarding::WriteDown(std::span<const net::const_buffer> pieces) {
  client_.expires_after(limits_.write_timeout);
  const auto [ec, count] = co_await net::async_write(client_, pieces, kAwait);
  co_return !ec;
}

net::awaitable<Forwarding::Outcome> Forwarding::PassBack(bool keep_alive) {
  const bool is_whole_request = !request_.has_body || is_uploaded_;
  const bool is_unframed = !parser_->is_done() && parser_->need_eof();
  const bool has_body = !parser_->is_done();
  const bool is_chunked = has_body && (parser_->chunked() || is_unframed) && !request_.is_http_10;
  const bool ends_with_connection = has_body && !is_chunked && !parser_->content_length();
  const bool goes_on = keep_alive && is_whole_request && !ends_with_connection;
  // parser.keep_alive() would say the same of the upstream's own framing.
  const bool peer_goes_on = parser_->keep_alive() && is_whole_request && !is_unframed;
  request_.record.status = static_cast<int>(parser_->get().result_int());
  std::string head = ResponseText(goes_on, is_chunked);
  if (has_body) {
    const bool is_passed = co_await PassBodyBack(std::move(head), is_chunked);
    if (!is_passed) co_return Outcome::kBroken;
  } else {
    const std::array<net::const_buffer, 1> pieces = {net::buffer(head)};
    const bool is_sent = co_await WriteDown(pieces);
    if (!is_sent) co_return Outcome::kBroken;
  }
  if (peer_goes_on && peer_buffer_.size() == 0) upstream_.Keep(std::move(peer_));
  peer_.reset();
  co_return goes_on ? Outcome::kAnswered : Outcome::kClose;
}

net::awaitable<bool> Forwarding::PassBodyBack(std::string head, bool is_chunked) {
  std::vector<std::byte> piece(kPieceBytes);
  std::string prefix = std::move(head);
  do {
    auto& body = parser_->get().body();
    body.data = piece.data();
    body.size = piece.size();
    peer_->expires_after(upstream_.options().response_timeout);
    const auto [ec, count] =
        co_await bhttp::async_read_some(*peer_, peer_buffer_, *parser_, kAwait);
    // Too late for a status: a body cut short upstream is a connection cut short here.
    if (ec && ec != bhttp::error::need_buffer) co_return false;
    const std::size_t filled = piece.size() - body.size;
    request_.record.bytes_out += filled;
    if (is_chunked && filled > 0) prefix += ChunkPrefix(filled);
    std::string_view suffix;
    if (is_chunked && filled > 0) suffix = kChunkEnd;
    const bool is_last = is_chunked && parser_->is_done();
    const std::array<net::const_buffer, 4> pieces = {
        net::buffer(prefix), net::buffer(piece.data(), filled), net::buffer(suffix),
        is_last ? net::buffer(kLastChunk) : net::const_buffer()};
    const bool is_sent = co_await WriteDown(pieces);
    if (!is_sent) co_return false;
    prefix.clear();
  } while (!parser_->is_done());
  co_return true;
}

}  // namespace zerocloud::server
