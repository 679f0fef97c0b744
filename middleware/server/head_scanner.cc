#include "middleware/server/head_scanner.h"

#include <cstdint>
#include <cstring>
#include <utility>

namespace zerocloud::server {
namespace {

// How many bytes are passed over before the first that could be a NUL, a line feed or a carriage
// return. Eight at a time: a word is stopped at that has a byte below 0x20, or (seldom, and
// harmless, for it is then looked at byte by byte) one that the subtraction's borrow made look so.
std::size_t Ordinary(std::string_view bytes) {
  constexpr std::uint64_t kEach = 0x0101010101010101U;
  std::size_t count = 0;
  for (std::uint64_t word = 0; bytes.size() - count >= sizeof word; count += sizeof word) {
    std::memcpy(&word, bytes.data() + count, sizeof word);
    if (((word - kEach * 0x20) & ~word & (kEach * 0x80)) != 0) break;
  }
  while (count < bytes.size() && bytes[count] != '\0' && bytes[count] != '\n' &&
         bytes[count] != '\r') {
    ++count;
  }
  return count;
}

}  // namespace

std::size_t HeadScanner::SkippedPrefix(std::string_view bytes) {
  std::size_t count = 0;
  while (bytes.substr(count).starts_with("\r\n")) count += 2;
  return count;
}

HeadScanner::State HeadScanner::Refuse(int status, std::string reason) {
  status_ = status;
  reason_ = std::move(reason);
  return State::kRefused;
}

bool HeadScanner::AcceptLine(std::string_view line) {
  const auto where = [this] { return " in line " + std::to_string(lines_ + 1) + " of the head"; };
  if (lines_ == 0) {
    if (line.size() <= limits_.line_bytes) return true;
    Refuse(414,
           "The request line is longer than " + std::to_string(limits_.line_bytes) + " bytes.");
    return false;
  }
  if (line.front() == ' ' || line.front() == '\t') {
    Refuse(400, "A folded header line" + where() + ": put the field on one line.");
    return false;
  }
  const std::size_t colon = line.find(':');
  if (colon == std::string_view::npos || colon == 0) {
    Refuse(400, "No header name and colon" + where() + ".");
    return false;
  }
  if (line[colon - 1] == ' ' || line[colon - 1] == '\t') {
    Refuse(400, "White space before the colon" + where() + ".");
    return false;
  }
  if (lines_ > limits_.field_count) {
    Refuse(431, "More than " + std::to_string(limits_.field_count) + " header fields.");
    return false;
  }
  return true;
}

HeadScanner::State HeadScanner::CheckSizes(std::size_t seen) {
  if (lines_ == 0 && seen > limits_.line_bytes + 2) {
    return Refuse(
        414, "The request line is longer than " + std::to_string(limits_.line_bytes) + " bytes.");
  }
  if (seen > limits_.total_bytes) {
    return Refuse(
        431, "The request head is longer than " + std::to_string(limits_.total_bytes) + " bytes.");
  }
  return State::kNeedsMore;
}

HeadScanner::State HeadScanner::Scan(std::string_view bytes) {
  for (; scanned_ < bytes.size(); ++scanned_) {
    scanned_ += Ordinary(bytes.substr(scanned_));
    if (scanned_ == bytes.size()) break;
    const char c = bytes[scanned_];
    if (c == '\0') return Refuse(400, "A NUL byte in the request head.");
    // A CR is judged with the byte after it, once that is here.
    if (c == '\r' && scanned_ + 1 == bytes.size()) break;
    if (c == '\r' && bytes[scanned_ + 1] != '\n') {
      return Refuse(400, "A carriage return without line feed in the request head.");
    }
    if (c != '\n') continue;
    if (scanned_ == line_start_ || bytes[scanned_ - 1] != '\r') {
      return Refuse(400, "A line feed without carriage return in the request head.");
    }
    const std::string_view line = bytes.substr(line_start_, scanned_ - 1 - line_start_);
    if (line.empty()) {
      if (lines_ == 0) return Refuse(400, "An empty request line.");
      head_size_ = scanned_ + 1;
      if (CheckSizes(head_size_) == State::kRefused) return State::kRefused;
      return State::kComplete;
    }
    if (!AcceptLine(line)) return State::kRefused;
    ++lines_;
    line_start_ = scanned_ + 1;
  }
  return CheckSizes(bytes.size());
}

}  // namespace zerocloud::server
