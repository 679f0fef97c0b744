#include "middleware/server/body_reader.h"

#include <algorithm>

namespace zerocloud::server {

void BodyReader::Release() {
  buffer_.consume(used_);
  used_ = 0;
  data_ = {};
}

net::awaitable<BodyReader::Got> BodyReader::Next(std::chrono::milliseconds limit) {
  Release();
  for (;;) {
    const BodyDecoder::Step step = decoder_.Take(View(buffer_));
    if (!step.data.empty()) {
      data_ = step.data;
      used_ = step.consumed;
      co_return Got::kData;
    }
    buffer_.consume(step.consumed);
    if (decoder_.is_done()) co_return Got::kEnd;
    if (decoder_.state() == BodyDecoder::State::kRefused) co_return Got::kRefused;
    const auto space = buffer_.prepare(std::min(kPieceBytes, buffer_.max_size() - buffer_.size()));
    const Wire::Moved moved = co_await wire_.Read(space, limit);
    if (moved.error == net::error::eof) {
      decoder_.TakeEnd();
      co_return decoder_.is_done() ? Got::kEnd : Got::kBroken;
    }
    if (moved.error == net::error::timed_out) co_return Got::kTimeout;
    if (moved.error) co_return Got::kBroken;
    buffer_.commit(moved.count);
  }
}

}  // namespace zerocloud::server
