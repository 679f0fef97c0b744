// Any datagram: refused with a sentence, or a parcel that encodes to the same bytes again.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <span>

#include "channels/network/name_service.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace zerocloud::network;  // NOLINT(google-build-using-namespace)
  const std::span bytes(reinterpret_cast<const std::byte*>(data), size);
  const auto parcel = ParseParcel(bytes);
  if (!parcel) {
    if (parcel.error().message.empty()) std::abort();
    return 0;
  }
  if (!std::ranges::equal(EncodeParcel(*parcel), bytes)) std::abort();
  NameTable table;
  table.Add(*parcel, 0x7f000001);
  if (table.AnswerFor(*parcel).connects.size() != parcel->connects.size()) std::abort();
  return 0;
}
