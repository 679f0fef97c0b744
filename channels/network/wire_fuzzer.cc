// Any bytes from a peer, cut anyhow: what is taken out never exceeds what came in, and only a
// stream with its digest ends well.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <span>
#include <vector>

#include "channels/network/wire.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace zerocloud::network;  // NOLINT(google-build-using-namespace)
  if (size == 0) return 0;
  const std::size_t cut = 1 + data[0];
  std::span<const std::byte> input(reinterpret_cast<const std::byte*>(data + 1), size - 1);
  static_cast<void>(ParseGreeting(input.first(std::min(input.size(), kGreetingSize))));
  FrameReader reader;
  FrameWriter again;
  std::vector<std::byte> sent;
  while (!input.empty() && reader.state() == FrameReader::State::kOpen) {
    const auto arrived = input.first(std::min(cut, input.size()));
    const FrameReader::Step step = reader.Next(arrived);
    if (step.taken == 0 || step.taken > arrived.size() || step.data.size() > step.taken) abort();
    if (!step.data.empty()) again.AppendFrame(step.data, sent);
    input = input.subspan(step.taken);
  }
  if (reader.state() == FrameReader::State::kBroken && reader.error().empty()) abort();
  if (reader.state() == FrameReader::State::kEnded) {
    again.AppendEnd(sent);
    if (again.digest() != reader.digest()) abort();
  }
  return 0;
}
