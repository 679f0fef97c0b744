// Members of a JSON object by name and kind; the first that is missing or wrong is remembered.
// Private to this folder.
#pragma once

#include <cstddef>
#include <cstdint>
#include <limits>
#include <string>
#include <string_view>
#include <vector>

#include "channels/base/result.h"
#include "middleware/job/json_document.h"

namespace zerocloud::remote {

class JsonReader {
 public:
  // `value` outlives it. `what` is for messages: "offer".
  JsonReader(const job::JsonValue& value, std::string_view what) : value_(value), what_(what) {
    if (!value.is_object()) why_ = "it is no object";
  }

  std::uint64_t Number(std::string_view name,
                       std::uint64_t most = std::numeric_limits<std::uint64_t>::max());
  bool Flag(std::string_view name) { return Number(name, 1) == 1; }
  // A string, or {"hex": "..."} for bytes that are no text.
  std::string Text(std::string_view name, std::size_t most);
  // The elements of an array.
  const std::vector<job::JsonValue>& List(std::string_view name, std::size_t most);
  // A member that may be missing: null then.
  [[nodiscard]] const job::JsonValue* Maybe(std::string_view name) const {
    return value_.is_object() ? value_.Find(name) : nullptr;
  }
  void Refuse(std::string_view name, std::string_view why);
  // An error if anything was refused.
  [[nodiscard]] Result<void> Check() const;

 private:
  const job::JsonValue& value_;
  const std::string what_;
  std::string why_;
};

// Values of a payload that says only a few things, itself among them.
inline constexpr std::size_t kFewValues = 64;

// Parses within the limits of a frame, and up to so many values.
Result<job::JsonValue> ParseFrameJson(std::string_view json, std::size_t most_values = kFewValues);

}  // namespace zerocloud::remote
