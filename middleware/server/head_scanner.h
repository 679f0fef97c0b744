// HeadScanner finds the end of a request head in a growing buffer and refuses, byte by byte, what
// two HTTP implementations could read differently: the material of request smuggling. What it
// accepts is then parsed by Beast. Pure: no sockets.
//
// Rules (RFC 9112 sections 2.2, 3, 5): lines end in CRLF, never in a bare LF or CR; no NUL; no
// folded lines; no white space between a field's name and its colon; the limits below.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace zerocloud::server {

struct HeadLimits {
  std::size_t line_bytes = 8192;    // of the request line
  std::size_t total_bytes = 65536;  // of the whole head
  std::size_t field_count = 200;
};

class HeadScanner {
 public:
  explicit HeadScanner(const HeadLimits& limits) : limits_(limits) {}

  enum class State : std::uint8_t { kNeedsMore, kComplete, kRefused };

  // Goes on where the last call stopped. `bytes` starts where the head starts and contains what
  // earlier calls were shown. Empty lines before the request line are not part of the head: the
  // caller removes them first (SkippedPrefix).
  State Scan(std::string_view bytes);

  // How many bytes of leading CRLF pairs to drop before Scan; clients send them after a body.
  static std::size_t SkippedPrefix(std::string_view bytes);

  // kComplete: the length of the head, final empty line included.
  [[nodiscard]] std::size_t head_size() const { return head_size_; }
  // kRefused: the status to answer (400, 414 or 431) and why, one sentence.
  [[nodiscard]] int status() const { return status_; }
  [[nodiscard]] const std::string& reason() const { return reason_; }

 private:
  State Refuse(int status, std::string reason);
  // One whole line without its CRLF. False: refused.
  bool AcceptLine(std::string_view line);
  State CheckSizes(std::size_t seen);

  HeadLimits limits_;
  std::size_t scanned_ = 0;     // bytes already looked at
  std::size_t line_start_ = 0;  // where the line under way starts
  std::size_t lines_ = 0;       // complete lines so far
  std::size_t head_size_ = 0;
  int status_ = 0;
  std::string reason_;
};

}  // namespace zerocloud::server
