// BodyReader: a message body read from a wire piece by piece, without its framing. Internal to the
// server folder.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string_view>

#include "middleware/server/body_decoder.h"
#include "middleware/server/wire.h"

namespace zerocloud::server {

inline constexpr std::size_t kPieceBytes = std::size_t{64} * 1024;

inline std::string_view View(const beast::flat_buffer& buffer) {
  const auto data = buffer.data();
  return {static_cast<const char*>(data.data()), data.size()};
}

class BodyReader {
 public:
  // `buffer` holds what was read past the head. Both outlive this.
  BodyReader(Wire& wire, beast::flat_buffer& buffer, BodyFraming framing)
      : wire_(wire), buffer_(buffer), decoder_(framing) {}

  enum class Got : std::uint8_t {
    kData,     // data() is some more of it, until the next call
    kEnd,      // there is no more
    kRefused,  // it is not HTTP: reason()
    kTimeout,
    kBroken,  // the connection ended in the middle
  };
  net::awaitable<Got> Next(std::chrono::milliseconds limit);
  // The same with what has come already; none: more must come.
  std::optional<Got> TakeBuffered();

  [[nodiscard]] std::string_view data() const { return data_; }
  [[nodiscard]] std::string_view reason() const { return decoder_.reason(); }
  // data() is the last piece, or there is none at all.
  [[nodiscard]] bool is_at_last_piece() const { return decoder_.is_done(); }
  // Every byte of it was taken from the buffer.
  [[nodiscard]] bool is_done() const { return decoder_.is_done() && used_ == 0; }
  // Behind data(): how many bytes of the body, up to its end, are still in the socket and could be
  // taken from there; 0 if some are here already, or if they are framed.
  [[nodiscard]] std::uint64_t left_in_socket() const {
    return bytes_after() == 0 ? decoder_.left_unframed() : 0;
  }
  // So many of them were. REQUIRES: data() was released.
  void Skip(std::uint64_t count) { decoder_.Skip(count); }
  // What was received past data().
  [[nodiscard]] std::size_t bytes_after() const { return buffer_.size() - used_; }
  // Gives back the last piece's place in the buffer.
  void Release();

 private:
  Wire& wire_;
  beast::flat_buffer& buffer_;
  BodyDecoder decoder_;
  std::string_view data_;
  std::size_t used_ = 0;  // bytes of the buffer that data_ and its framing take
};

}  // namespace zerocloud::server
