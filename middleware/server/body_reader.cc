#include "middleware/server/body_reader.h"

#include "middleware/http/ack_now.h"

namespace zerocloud::server {

void BodyReader::Release() {
  buffer_.consume(used_);
  used_ = 0;
  data_ = {};
}

std::optional<BodyReader::Got> BodyReader::TakeBuffered() {
  Release();
  const BodyDecoder::Step step = decoder_.Take(View(buffer_));
  if (!step.data.empty()) {
    data_ = step.data;
    used_ = step.consumed;
    return Got::kData;
  }
  buffer_.consume(step.consumed);
  if (decoder_.is_done()) return Got::kEnd;
  if (decoder_.state() == BodyDecoder::State::kRefused) return Got::kRefused;
  return std::nullopt;
}

net::awaitable<BodyReader::Got> BodyReader::Next(std::chrono::milliseconds limit) {
  for (;;) {
    const std::optional<Got> got = TakeBuffered();
    if (got.has_value()) co_return *got;
    http::AckNow(wire_.socket().native_handle());
    const boost::system::error_code error = co_await wire_.Fill(&buffer_, kPieceBytes, limit);
    if (error == net::error::eof) {
      decoder_.TakeEnd();
      co_return decoder_.is_done() ? Got::kEnd : Got::kBroken;
    }
    if (error == net::error::timed_out) co_return Got::kTimeout;
    if (error) co_return Got::kBroken;
  }
}

}  // namespace zerocloud::server
