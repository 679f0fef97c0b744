#include "middleware/remote/wire_holds.h"

#include <sys/random.h>

#include <array>
#include <span>

#include "middleware/digest/hex.h"
#include "middleware/remote/wire_values.h"

namespace zerocloud::remote {
namespace {

constexpr std::size_t kMostMetadata = 1024;  // each is 3 values, or 5 if it is no text

}  // namespace

std::string NewId() {
  std::array<unsigned char, kIdDigits / 2> bytes{};
  // So few bytes come at once, and all of them, as soon as the kernel has any: getrandom(2).
  while (::getrandom(bytes.data(), bytes.size(), 0) != static_cast<ssize_t>(bytes.size())) {
  }
  return digest::ToHex(std::as_bytes(std::span(bytes)));
}

std::string Encode(const HoldList& list) {
  JsonWriter json;
  WriteIds(json, "holds", list.holds);
  return json.Take();
}

Result<HoldList> ParseHoldList(std::string_view json) {
  const Result<job::JsonValue> value = ParseFrameJson(json, kFewValues + kMostIds);
  if (!value) return Fail(value);
  JsonReader reader(*value, "list of holds");
  HoldList list{ReadIds(reader, "holds", kMostIds)};
  if (Result<void> checked = reader.Check(); !checked) return Fail(checked);
  return list;
}

std::string Encode(const FetchOrder& order) { return JsonWriter().Text("hold", order.hold).Take(); }

Result<FetchOrder> ParseFetchOrder(std::string_view json) {
  const Result<job::JsonValue> value = ParseFrameJson(json);
  if (!value) return Fail(value);
  JsonReader reader(*value, "fetch");
  FetchOrder order{ReadId(reader, "hold")};
  if (Result<void> checked = reader.Check(); !checked) return Fail(checked);
  return order;
}

std::string Encode(const PutOrder& order) {
  JsonWriter json;
  json.Text("hold", order.hold);
  WriteCaller(json, order.caller);
  WritePath(json, "into", order.object.path);
  json.Text("content_type", order.object.content_type);
  json.OpenList("metadata");
  for (const auto& [name, text] : order.object.metadata) {
    json.OpenObject();
    json.Text("name", name).Text("value", text);
    json.CloseObject();
  }
  json.CloseList();
  return json.Take();
}

Result<PutOrder> ParsePutOrder(std::string_view json) {
  const Result<job::JsonValue> value = ParseFrameJson(json, kFewValues + kMostMetadata * 5);
  if (!value) return Fail(value);
  JsonReader reader(*value, "put");
  PutOrder order;
  order.hold = ReadId(reader, "hold");
  order.caller = ReadCaller(reader);
  order.object.path = ReadPath(reader, "into");
  order.object.content_type = reader.Text("content_type", kMessageBytes);
  if (!IsHeaderValue(order.object.content_type)) reader.Refuse("content_type", "is none");
  for (const job::JsonValue& element : reader.List("metadata", kMostMetadata)) {
    JsonReader member(element, "item of metadata");
    std::string name = member.Text("name", kNameBytes);
    std::string text = member.Text("value", kMessageBytes);
    if (name.empty() || name.contains(':') || !IsHeaderValue(name) || !IsHeaderValue(text)) {
      member.Refuse("name", "or its value can be no header");
    }
    if (Result<void> checked = member.Check(); !checked) return Fail(checked);
    order.object.metadata.insert_or_assign(std::move(name), std::move(text));
  }
  if (Result<void> checked = reader.Check(); !checked) return Fail(checked);
  return order;
}

std::string Encode(const Stored& stored) {
  return JsonWriter()
      .Number("bytes", stored.info.size)
      .Text("etag", stored.info.etag)
      .Text("content_type", stored.info.content_type)
      .Text("timestamp", stored.info.last_modified)
      .Take();
}

Result<Stored> ParseStored(std::string_view json) {
  const Result<job::JsonValue> value = ParseFrameJson(json);
  if (!value) return Fail(value);
  JsonReader reader(*value, "answer of what was stored");
  Stored stored;
  stored.info.size = reader.Number("bytes");
  stored.info.etag = reader.Text("etag", kNameBytes);
  stored.info.content_type = reader.Text("content_type", kMessageBytes);
  stored.info.last_modified = reader.Text("timestamp", kNameBytes);
  if (Result<void> checked = reader.Check(); !checked) return Fail(checked);
  return stored;
}

}  // namespace zerocloud::remote
