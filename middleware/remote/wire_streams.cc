#include "middleware/remote/wire_streams.h"

#include "middleware/remote/wire_values.h"

namespace zerocloud::remote {

std::string Encode(const StreamOrder& order) {
  return JsonWriter().Text("stream", order.stream).Take();
}

Result<StreamOrder> ParseStreamOrder(std::string_view json) {
  const Result<job::JsonValue> value = ParseFrameJson(json);
  if (!value) return Fail(value);
  JsonReader reader(*value, "stream");
  StreamOrder order{ReadId(reader, "stream")};
  if (Result<void> checked = reader.Check(); !checked) return Fail(checked);
  return order;
}

std::string Encode(const Credit& credit) {
  return JsonWriter()
      .Number("bytes", credit.bytes)
      .Number("complete", credit.is_complete ? 1 : 0)
      .Take();
}

Result<Credit> ParseCredit(std::string_view json) {
  const Result<job::JsonValue> value = ParseFrameJson(json);
  if (!value) return Fail(value);
  JsonReader reader(*value, "credit");
  const Credit credit{reader.Number("bytes", kMostCredit), reader.Flag("complete")};
  if (Result<void> checked = reader.Check(); !checked) return Fail(checked);
  return credit;
}

}  // namespace zerocloud::remote
