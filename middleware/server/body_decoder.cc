#include "middleware/server/body_decoder.h"

#include <algorithm>

namespace zerocloud::server {
namespace {

// Of all extensions of a body together, and of all trailers.
constexpr std::size_t kMaxSkipped = std::size_t{64} * 1024;
constexpr int kMaxDigits = 15;  // a chunk below 2^60 bytes

int HexValue(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

}  // namespace

BodyDecoder::BodyDecoder(BodyFraming framing) {
  switch (framing.kind) {
    case BodyFraming::Kind::kNone:
      return;
    case BodyFraming::Kind::kLength:
      left_ = framing.length;
      if (left_ > 0) state_ = State::kGoesOn;
      return;
    case BodyFraming::Kind::kChunked:
      is_chunked_ = true;
      expects_ = Expects::kSizeStart;
      state_ = State::kGoesOn;
      return;
    case BodyFraming::Kind::kUntilEnd:
      expects_ = Expects::kAnything;
      state_ = State::kGoesOn;
      return;
  }
}

void BodyDecoder::Refuse(std::string_view reason) {
  state_ = State::kRefused;
  reason_ = reason;
}

void BodyDecoder::Expect(Expects next, bool is_as_expected, std::string_view otherwise) {
  expects_ = next;
  if (!is_as_expected) Refuse(otherwise);
}

BodyDecoder::Step BodyDecoder::Take(std::string_view input) {
  std::size_t consumed = 0;
  while (state_ == State::kGoesOn && consumed < input.size()) {
    if (expects_ == Expects::kData || expects_ == Expects::kAnything) {
      Step step = TakeData(input.substr(consumed));
      step.consumed += consumed;
      return step;
    }
    TakeByte(input[consumed]);
    ++consumed;
  }
  return {consumed, {}};
}

void BodyDecoder::Skip(std::uint64_t count) {
  if (count > left_unframed()) return Refuse("More bytes were taken than the body has.");
  left_ -= count;
  if (left_ == 0) state_ = State::kDone;
}

void BodyDecoder::TakeEnd() {
  if (state_ != State::kGoesOn) return;
  if (expects_ == Expects::kAnything) {
    state_ = State::kDone;
  } else {
    Refuse("The body ended early.");
  }
}

BodyDecoder::Step BodyDecoder::TakeData(std::string_view input) {
  if (expects_ == Expects::kAnything) return {input.size(), input};
  const auto count = static_cast<std::size_t>(std::min<std::uint64_t>(left_, input.size()));
  left_ -= count;
  if (left_ == 0) {
    if (is_chunked_) {
      expects_ = Expects::kDataCr;
    } else {
      state_ = State::kDone;
    }
  }
  return {count, input.substr(0, count)};
}

void BodyDecoder::TakeSizeByte(char byte) {
  const int digit = HexValue(byte);
  if (digit >= 0) {
    if (++digits_ > kMaxDigits) return Refuse("A chunk's size has more than 15 digits.");
    left_ = left_ * 16 + static_cast<std::uint64_t>(digit);
    expects_ = Expects::kSize;
  } else if (byte == '\r' && digits_ > 0) {
    expects_ = Expects::kSizeEnd;
  } else if (byte == ';' && digits_ > 0) {
    expects_ = Expects::kExtension;
  } else {
    Refuse("A chunk's size is no hexadecimal number.");
  }
}

void BodyDecoder::EndOfSize() {
  digits_ = 0;
  if (left_ > 0) {
    expects_ = Expects::kData;
  } else {
    expects_ = Expects::kTrailerLine;
    skipped_ = 0;
  }
}

void BodyDecoder::TakeByte(char byte) {
  const bool is_skipped = expects_ == Expects::kExtension || expects_ == Expects::kTrailer ||
                          expects_ == Expects::kTrailerLine;
  if (is_skipped && ++skipped_ > kMaxSkipped) {
    return Refuse("More than 65536 bytes of chunk extensions or trailers.");
  }
  if (is_skipped && (byte == '\n' || byte == '\0')) {
    return Refuse("A bare line feed or NUL between chunks.");
  }
  switch (expects_) {
    case Expects::kSizeStart:
    case Expects::kSize:
      return TakeSizeByte(byte);
    case Expects::kExtension:
      if (byte == '\r') expects_ = Expects::kSizeEnd;
      return;
    case Expects::kSizeEnd:
      if (byte != '\n') return Refuse("A chunk's size does not end with CRLF.");
      return EndOfSize();
    case Expects::kDataCr:
      return Expect(Expects::kDataLf, byte == '\r', "A chunk does not end with CRLF.");
    case Expects::kDataLf:
      return Expect(Expects::kSizeStart, byte == '\n', "A chunk does not end with CRLF.");
    case Expects::kTrailerLine:
      expects_ = byte == '\r' ? Expects::kLastLf : Expects::kTrailer;
      return;
    case Expects::kTrailer:
      if (byte == '\r') expects_ = Expects::kTrailerLf;
      return;
    case Expects::kTrailerLf:
      return Expect(Expects::kTrailerLine, byte == '\n', "A trailer does not end with CRLF.");
    case Expects::kLastLf:
      if (byte != '\n') return Refuse("The body does not end with CRLF.");
      state_ = State::kDone;
      return;
    case Expects::kData:
    case Expects::kAnything:
      return;  // TakeData's
  }
}

}  // namespace zerocloud::server
