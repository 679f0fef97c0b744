#include "middleware/job/json_document.h"

#include <fmt/format.h>
#include <rapidjson/error/en.h>
#include <rapidjson/memorystream.h>
#include <rapidjson/reader.h>

#include <algorithm>
#include <utility>

namespace zerocloud::job {
namespace {

constexpr unsigned kParseFlags =
    rapidjson::kParseIterativeFlag | rapidjson::kParseValidateEncodingFlag;

// Builds values from the reader's events, until the nesting is too deep.
class Builder {
 public:
  using Ch = char;
  Builder(std::uint64_t depth_limit, std::size_t most_values)
      : depth_limit_(depth_limit), most_values_(most_values) {}

  [[nodiscard]] bool is_too_deep() const { return is_too_deep_; }
  [[nodiscard]] bool is_too_much() const { return values_ > most_values_; }
  JsonValue Take() { return std::move(root_); }

  bool Null() { return Add({}); }
  bool Bool(bool value) { return Add({.kind = JsonValue::Kind::kBool, .is_true = value}); }
  bool Int(int value) { return Double(value); }
  bool Int64(std::int64_t value) { return Double(static_cast<double>(value)); }
  bool Uint(unsigned value) { return Uint64(value); }
  bool Uint64(std::uint64_t value) {
    return Add(
        {.kind = JsonValue::Kind::kNumber, .number = static_cast<double>(value), .whole = value});
  }
  bool Double(double value) { return Add({.kind = JsonValue::Kind::kNumber, .number = value}); }
  // Only called with a flag that is not set.
  bool RawNumber(const char*, rapidjson::SizeType, bool) { return false; }
  bool String(const char* text, rapidjson::SizeType size, bool) {
    return Add({.kind = JsonValue::Kind::kString, .text = std::string(text, size)});
  }
  bool Key(const char* text, rapidjson::SizeType size, bool) {
    open_.back().keys.emplace_back(text, size);
    return true;
  }
  bool StartObject() { return Open(JsonValue::Kind::kObject); }
  bool StartArray() { return Open(JsonValue::Kind::kArray); }
  bool EndObject(rapidjson::SizeType) { return Close(); }
  bool EndArray(rapidjson::SizeType) { return Close(); }

 private:
  bool Add(JsonValue value) {
    if (++values_ > most_values_) return false;
    (open_.empty() ? root_ : open_.back().elements.emplace_back()) = std::move(value);
    return true;
  }
  bool Open(JsonValue::Kind kind) {
    is_too_deep_ = open_.size() >= depth_limit_;
    if (is_too_deep_) return false;
    open_.push_back({.kind = kind});
    return true;
  }
  bool Close() {
    JsonValue value = std::move(open_.back());
    open_.pop_back();
    return Add(std::move(value));
  }

  std::uint64_t depth_limit_;
  std::size_t most_values_;
  std::size_t values_ = 0;
  bool is_too_deep_ = false;
  JsonValue root_;
  std::vector<JsonValue> open_;  // the containers around the current value, outermost first
};

}  // namespace

const JsonValue* JsonValue::Find(std::string_view key) const {
  const auto found = std::ranges::find(keys, key);
  if (found == keys.end()) return nullptr;
  return &elements[static_cast<std::size_t>(found - keys.begin())];
}

Result<JsonValue> ParseJson(std::string_view text, const JobLimits& limits,
                            std::size_t most_values) {
  if (text.size() > limits.document_bytes) {
    return OverLimit("the job document has bytes:", "document_bytes", limits.document_bytes,
                     text.size());
  }
  Builder builder(limits.document_depth, most_values);
  rapidjson::MemoryStream stream(text.data(), text.size());
  rapidjson::Reader reader;
  const rapidjson::ParseResult parsed = reader.Parse<kParseFlags>(stream, builder);
  if (builder.is_too_deep()) {
    return OverLimit("the job document is nested too deeply: level", "document_depth",
                     limits.document_depth, limits.document_depth + 1);
  }
  if (builder.is_too_much()) {
    return Fail(ErrorCode::kLimitExceeded,
                fmt::format("a document of more than {} values", most_values));
  }
  if (parsed.IsError()) {
    return FailAt("", fmt::format("this is not JSON: {} At byte {}.",
                                  rapidjson::GetParseError_En(parsed.Code()), parsed.Offset()));
  }
  return builder.Take();
}

std::string PointerStep(std::string_view pointer, std::string_view key) {
  std::string result(pointer);
  result.push_back('/');
  for (const char c : key) {
    if (c == '~') {
      result += "~0";
    } else if (c == '/') {
      result += "~1";
    } else {
      result.push_back(c);
    }
  }
  return result;
}

std::string PointerStep(std::string_view pointer, std::size_t index) {
  return fmt::format("{}/{}", pointer, index);
}

std::unexpected<Error> FailAt(std::string_view pointer, std::string_view sentence) {
  return Fail(ErrorCode::kInvalid,
              fmt::format("{}: {}", pointer.empty() ? "the job" : pointer, sentence));
}

std::string_view KindOf(const JsonValue& value) {
  switch (value.kind) {
    case JsonValue::Kind::kNull:
      return "null";
    case JsonValue::Kind::kBool:
      return "a boolean";
    case JsonValue::Kind::kNumber:
      return "a number";
    case JsonValue::Kind::kString:
      return "a string";
    case JsonValue::Kind::kArray:
      return "an array";
    case JsonValue::Kind::kObject:
      return "an object";
  }
  return "nothing";
}

}  // namespace zerocloud::job
