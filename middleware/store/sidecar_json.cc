#include "middleware/store/sidecar_json.h"

#include <rapidjson/memorystream.h>
#include <rapidjson/reader.h>

namespace zerocloud::store {
namespace {

// Builds the value from the reader's events. A false answer stops the reader.
class Builder : public rapidjson::BaseReaderHandler<rapidjson::UTF8<>, Builder> {
 public:
  // Kinds that sidecars do not have (null, bool, double) come here.
  static bool Default() { return false; }

  bool Int(int number) { return Int64(number); }
  bool Uint(unsigned number) { return Int64(number); }
  bool Uint64(std::uint64_t number) {
    return number <= INT64_MAX && Int64(static_cast<std::int64_t>(number));
  }
  bool Int64(std::int64_t number) {
    SidecarValue value;
    value.kind = SidecarValue::Kind::kNumber;
    value.number = number;
    return Add(std::move(value));
  }
  bool String(const char* text, rapidjson::SizeType size, bool /*copy*/) {
    SidecarValue value;
    value.text.assign(text, size);
    return Add(std::move(value));
  }
  bool Key(const char* text, rapidjson::SizeType size, bool /*copy*/) {
    open_.back().key.assign(text, size);
    return true;
  }
  bool StartObject() { return Start(SidecarValue::Kind::kObject); }
  bool StartArray() { return Start(SidecarValue::Kind::kList); }
  bool EndObject(rapidjson::SizeType /*count*/) { return End(); }
  bool EndArray(rapidjson::SizeType /*count*/) { return End(); }

  SidecarValue Take() { return std::move(root_); }

 private:
  struct Open {
    SidecarValue value;
    std::string key;  // of the member that comes next
  };

  bool Start(SidecarValue::Kind kind) {
    if (open_.size() == kMaxSidecarDepth) return false;
    open_.emplace_back();
    open_.back().value.kind = kind;
    return true;
  }
  bool End() {
    SidecarValue value = std::move(open_.back().value);
    open_.pop_back();
    return Add(std::move(value));
  }
  bool Add(SidecarValue value) {
    if (open_.empty()) {
      root_ = std::move(value);
    } else {
      SidecarValue& parent = open_.back().value;
      if (parent.is_object()) parent.keys.push_back(std::move(open_.back().key));
      open_.back().key.clear();
      parent.values.push_back(std::move(value));
    }
    return true;
  }

  std::vector<Open> open_;
  SidecarValue root_;
};

}  // namespace

const SidecarValue* SidecarValue::Find(std::string_view key, Kind wanted) const {
  if (!is_object()) return nullptr;
  for (std::size_t i = 0; i < keys.size(); ++i) {
    if (keys[i] == key) return values[i].kind == wanted ? &values[i] : nullptr;
  }
  return nullptr;
}

Result<SidecarValue> ParseSidecarJson(std::string_view text) {
  constexpr unsigned kFlags =
      rapidjson::kParseIterativeFlag | rapidjson::kParseValidateEncodingFlag;
  rapidjson::Reader reader;
  rapidjson::MemoryStream stream(text.data(), text.size());
  Builder builder;
  const rapidjson::ParseResult result = reader.Parse<kFlags>(stream, builder);
  if (result.IsError()) {
    return Fail(ErrorCode::kInvalid,
                "sidecar: not the JSON of one, at offset " + std::to_string(result.Offset()));
  }
  return builder.Take();
}

}  // namespace zerocloud::store
