// BodyDecoder takes the framing off a message body as its bytes come in: what remains is the body.
// Chunk extensions and trailers are read, bounded, and dropped. Pure: no sockets, no copies.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "middleware/server/message_head.h"

namespace zerocloud::server {

class BodyDecoder {
 public:
  BodyDecoder() = default;  // of a message without a body
  explicit BodyDecoder(BodyFraming framing);

  enum class State : std::uint8_t {
    kGoesOn,  // more may come
    kDone,
    kRefused,  // not HTTP; reason() says why
  };
  struct Step {
    std::size_t consumed = 0;  // of the input; at least 1, unless it was empty or this is the end
    std::string_view data;     // a part of the input: bytes of the body, perhaps none
  };

  // Takes what it can from `input`, the bytes after those consumed before. Call again with the rest
  // while state() is kGoesOn and the step consumed something.
  Step Take(std::string_view input);
  // How many of the next bytes are the body's own, whatever they are, and nothing but them up to
  // its end: all that is left of a body framed by its length, else 0.
  [[nodiscard]] std::uint64_t left_unframed() const {
    return state_ == State::kGoesOn && expects_ == Expects::kData && !is_chunked_ ? left_ : 0;
  }
  // So many of them, at most left_unframed(), went another way.
  void Skip(std::uint64_t count);
  // The connection has ended. That is the end of the body only of one framed by it.
  void TakeEnd();

  [[nodiscard]] State state() const { return state_; }
  [[nodiscard]] bool is_done() const { return state_ == State::kDone; }
  [[nodiscard]] std::string_view reason() const { return reason_; }

 private:
  enum class Expects : std::uint8_t {
    kData,         // left_ bytes of it
    kSizeStart,    // the first digit of a chunk's size
    kSize,         // the next one
    kExtension,    // anything up to CR
    kSizeEnd,      // LF of that line
    kDataCr,       // CR after a chunk
    kDataLf,       // then LF
    kTrailerLine,  // the first byte of a trailer line, or CR of the empty one
    kTrailer,      // the rest of one
    kTrailerLf,    // its LF
    kLastLf,       // LF of the empty line: the end
    kAnything,     // up to the connection's end
  };

  Step TakeData(std::string_view input);
  void TakeByte(char byte);
  void TakeSizeByte(char byte);
  void EndOfSize();
  void Refuse(std::string_view reason);
  void Expect(Expects next, bool is_as_expected, std::string_view otherwise);

  State state_ = State::kDone;
  Expects expects_ = Expects::kData;
  bool is_chunked_ = false;
  std::uint64_t left_ = 0;   // of the body, or of the chunk
  std::size_t skipped_ = 0;  // bytes of extensions, then of trailers
  int digits_ = 0;           // of the size under way
  std::string_view reason_;
};

}  // namespace zerocloud::server
