#include "middleware/config/flat_json.h"

#include <fmt/format.h>
#include <rapidjson/error/en.h>
#include <rapidjson/memorystream.h>
#include <rapidjson/reader.h>

#include <set>
#include <utility>

namespace zerocloud::config {
namespace {

class Flattener {
 public:
  using Ch = char;

  std::vector<FlatValue> values;
  std::string objection;

  bool Null() { return Add(FlatValue::Kind::kOther); }
  bool Bool(bool value) { return Add(FlatValue::Kind::kBool, value ? 1U : 0U); }
  bool Int(int) { return Null(); }
  bool Int64(std::int64_t) { return Null(); }
  bool Uint(unsigned value) { return Uint64(value); }
  bool Uint64(std::uint64_t value) { return Add(FlatValue::Kind::kNumber, value); }
  bool Double(double) { return Null(); }
  // Only called with a flag that is not set.
  bool RawNumber(const char*, rapidjson::SizeType, bool) { return false; }
  bool String(const char* text, rapidjson::SizeType size, bool) {
    return Add(FlatValue::Kind::kText, 0, std::string(text, size));
  }
  bool Key(const char* text, rapidjson::SizeType size, bool) {
    open_.back().step = Escaped({text, size});
    if (open_.back().seen.insert(open_.back().step).second) return true;
    return Object(fmt::format("{}: This key stands here twice.", Pointer()));
  }
  bool StartObject() { return Open(false); }
  bool StartArray() { return Open(true); }
  bool EndObject(rapidjson::SizeType count) { return Close(count, FlatValue::Kind::kEmptyObject); }
  bool EndArray(rapidjson::SizeType count) { return Close(count, FlatValue::Kind::kEmptyArray); }

 private:
  struct Level {
    bool is_array = false;
    std::size_t index = 0;       // of an array: of the element under way
    std::string step;            // of an object: the key under way, escaped
    std::set<std::string> seen;  // of an object
  };

  static std::string Escaped(std::string_view key) {
    std::string out;
    for (const char c : key) {
      if (c == '~') {
        out += "~0";
      } else if (c == '/') {
        out += "~1";
      } else {
        out.push_back(c);
      }
    }
    return out;
  }
  [[nodiscard]] std::string Pointer() const {
    std::string pointer;
    for (const Level& level : open_) {
      pointer += '/';
      pointer += level.is_array ? std::to_string(level.index) : level.step;
    }
    return pointer;
  }
  bool Object(std::string sentence) {
    objection = std::move(sentence);
    return false;
  }
  bool Add(FlatValue::Kind kind, std::uint64_t number = 0, std::string text = {}) {
    if (open_.empty() && kind != FlatValue::Kind::kEmptyObject) {
      return Object("The configuration must be a JSON object.");
    }
    values.push_back({Pointer(), kind, std::move(text), number});
    Advance();
    return true;
  }
  void Advance() {
    if (!open_.empty() && open_.back().is_array) ++open_.back().index;
  }
  bool Open(bool is_array) {
    if (open_.empty() && is_array) return Object("The configuration must be a JSON object.");
    if (open_.size() >= kMaxJsonDepth) {
      return Object(fmt::format("{}: Nested deeper than {} levels.", Pointer(), kMaxJsonDepth));
    }
    open_.push_back({.is_array = is_array, .step = {}, .seen = {}});
    return true;
  }
  bool Close(rapidjson::SizeType count, FlatValue::Kind empty) {
    open_.pop_back();
    if (count == 0) return Add(empty);
    Advance();
    return true;
  }

  std::vector<Level> open_;
};

}  // namespace

Result<std::vector<FlatValue>> FlattenJson(std::string_view json) {
  if (json.size() > kMaxJsonBytes) {
    return Fail(ErrorCode::kLimitExceeded,
                fmt::format("The configuration has {} bytes; the limit is {}.", json.size(),
                            kMaxJsonBytes));
  }
  Flattener flattener;
  rapidjson::MemoryStream stream(json.data(), json.size());
  rapidjson::Reader reader;
  const rapidjson::ParseResult parsed = reader.Parse < rapidjson::kParseIterativeFlag |
                                        rapidjson::kParseValidateEncodingFlag > (stream, flattener);
  if (!flattener.objection.empty()) return Fail(ErrorCode::kInvalid, flattener.objection);
  if (parsed.IsError()) {
    return Fail(ErrorCode::kInvalid,
                fmt::format("The configuration is not JSON: {} At byte {}.",
                            rapidjson::GetParseError_En(parsed.Code()), parsed.Offset()));
  }
  return std::move(flattener.values);
}

}  // namespace zerocloud::config
