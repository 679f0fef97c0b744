// What goes over a daemon's socket, both ways: a frame of eight characters, "0x" and the length in
// six hexadecimal digits, and that many bytes. A request is a manifest, its answer a report.
// Source: ZeroVM's daemon. Pure.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

#include "channels/base/result.h"
#include "sandbox/runtime/manifest.h"

namespace zerocloud::runtime {

inline constexpr std::size_t kFrameHeaderSize = 8;
inline constexpr std::size_t kMaxFrameSize = 0xffffff;

// Puts a request together from pieces of any size. Holds no more than kMaxManifestSize bytes,
// whatever the length says.
class RequestReader {
 public:
  // Takes the next bytes; those behind the end of the request are dropped. kInvalid: they are no
  // request, and nothing more can be read.
  Result<void> Take(std::string_view bytes);

  // All of the manifest is there.
  [[nodiscard]] bool is_complete() const { return size_ && body_.size() == *size_; }
  [[nodiscard]] const std::string& manifest() const { return body_; }

 private:
  std::string header_;
  std::optional<std::size_t> size_;
  std::string body_;
};

// A frame with `text`, which is cut to kMaxFrameSize.
std::string Frame(std::string_view text);

}  // namespace zerocloud::runtime
