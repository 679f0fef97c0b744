// Any bytes as frames and as a key file: the same frames however they arrive, and what comes out is
// within its limits.
#include <cstdint>
#include <cstdlib>
#include <string>
#include <vector>

#include "middleware/peer/frame.h"
#include "middleware/peer/key_file.h"

using namespace zerocloud;

namespace {

// The frames as they would be sent again, and whether the rest was refused.
std::string ReadAll(std::string_view bytes, std::size_t step) {
  peer::FrameReader reader;
  std::string seen;
  while (true) {
    const Result<std::optional<peer::Frame>> frame = reader.Next();
    if (!frame) return seen + "?";
    if (frame->has_value()) {
      const peer::Frame& found = **frame;
      if (found.payload.size() > peer::MaxPayloadOf(found.kind)) std::abort();
      if (const auto data = peer::ReadData(found.payload); data.has_value()) {
        if (data->bytes.empty()) std::abort();
        if (peer::DataPayload(data->channel, data->bytes) != found.payload) std::abort();
      }
      seen += peer::EncodeFrame(found.kind, found.payload);
      continue;
    }
    if (bytes.empty()) return seen;
    reader.Feed(bytes.substr(0, step));
    bytes.remove_prefix(std::min(step, bytes.size()));
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  const std::string whole = ReadAll(bytes, size + 1);
  if (whole != ReadAll(bytes, 3)) std::abort();
  const bool is_refused = whole.ends_with('?') && !bytes.starts_with(whole);
  if (!is_refused && !bytes.starts_with(whole)) std::abort();
  const auto keys = peer::ParseKeys(bytes);
  if (keys.has_value() && (keys->empty() || keys->size() > peer::kMaxKeys)) std::abort();
  return 0;
}
