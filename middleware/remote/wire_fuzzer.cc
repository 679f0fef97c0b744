// Any JSON as each kind of payload: what is taken reads the same when it is sent again. And as a
// document: it has no more values than it may.
#include <cstdint>
#include <cstdlib>

#include "middleware/remote/json_reader.h"
#include "middleware/remote/wire.h"
#include "middleware/remote/wire_holds.h"
#include "middleware/remote/wire_streams.h"

using namespace zerocloud;

namespace {

template <typename Parse>
void Check(std::string_view json, Parse parse) {
  const auto value = parse(json);
  if (!value) return;
  const std::string again = remote::Encode(*value);
  const auto twice = parse(again);
  if (!twice || remote::Encode(*twice) != again) std::abort();
}

// Nested no deeper than the reader takes.
std::size_t CountValues(const job::JsonValue& value) {
  std::size_t count = 1;
  for (const job::JsonValue& element : value.elements) count += CountValues(element);
  return count;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view json(reinterpret_cast<const char*>(data), size);
  for (const std::size_t most : {std::size_t{1}, std::size_t{3}, remote::kFewValues}) {
    const auto document = remote::ParseFrameJson(json, most);
    if (document && CountValues(*document) > most) std::abort();
  }
  Check(json, remote::ParseHello);
  Check(json, remote::ParseOffer);
  Check(json, remote::ParseAccepted);
  Check(json, remote::ParseStreamEnd);
  Check(json, remote::ParseEndReport);
  Check(json, remote::ParseFailure);
  Check(json, remote::ParseHoldList);
  Check(json, remote::ParseFetchOrder);
  Check(json, remote::ParsePutOrder);
  Check(json, remote::ParseStored);
  Check(json, remote::ParseStreamOrder);
  Check(json, remote::ParseCredit);
  return 0;
}
