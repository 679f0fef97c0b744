#include "sandbox/runtime/daemon_protocol.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>

namespace zerocloud::runtime {
namespace {

Result<std::size_t> ParseHeader(const std::string& header) {
  std::size_t size = 0;
  const char* const end = header.data() + header.size();
  const auto parsed = std::from_chars(header.data() + 2, end, size, 16);
  if (!header.starts_with("0x") || parsed.ec != std::errc() || parsed.ptr != end) {
    return Fail(ErrorCode::kInvalid,
                "the request does not begin with its length, \"0x\" and six hexadecimal digits");
  }
  if (size == 0) return Fail(ErrorCode::kInvalid, "the request has no manifest: its length is 0");
  if (size > kMaxManifestSize) {
    return Fail(ErrorCode::kInvalid,
                fmt::format("a manifest of {} bytes; the limit is {}", size, kMaxManifestSize));
  }
  return size;
}

}  // namespace

Result<void> RequestReader::Take(std::string_view bytes) {
  if (!size_) {
    const std::string_view start = bytes.substr(0, kFrameHeaderSize - header_.size());
    header_ += start;
    bytes.remove_prefix(start.size());
    if (header_.size() < kFrameHeaderSize) return {};
    const Result<std::size_t> size = ParseHeader(header_);
    if (!size) return Fail(size);
    size_ = *size;
  }
  body_ += bytes.substr(0, *size_ - body_.size());
  return {};
}

std::string Frame(std::string_view text) {
  text = text.substr(0, kMaxFrameSize);
  return fmt::format("0x{:06x}{}", text.size(), text);
}

}  // namespace zerocloud::runtime
