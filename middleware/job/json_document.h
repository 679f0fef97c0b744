// Reading JSON that a stranger wrote: bounded in bytes and depth, iterative (no recursion whatever
// the nesting), UTF-8 checked, and no exception. The job language and what nodes say to each other
// are read with it.
//
// RapidJSON's reader does the parsing; its document class does not compile with clang 19, so the
// values are our own.
#pragma once

#include <cstddef>
#include <cstdint>
#include <limits>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "channels/base/result.h"
#include "middleware/job/job_limits.h"

namespace zerocloud::job {

struct JsonValue {
  enum class Kind : std::uint8_t { kNull, kBool, kNumber, kString, kArray, kObject };

  Kind kind = Kind::kNull;
  bool is_true = false;                     // kBool
  double number = 0;                        // kNumber
  std::optional<std::uint64_t> whole = {};  // kNumber: the same, where it was written as such
  std::string text = {};                    // kString; may hold NULs
  std::vector<std::string> keys = {};    // kObject: in the order of the document, duplicates kept
  std::vector<JsonValue> elements = {};  // kArray; kObject: the values of `keys`

  [[nodiscard]] bool is_object() const { return kind == Kind::kObject; }
  [[nodiscard]] bool is_array() const { return kind == Kind::kArray; }
  [[nodiscard]] bool is_string() const { return kind == Kind::kString; }
  // The value of the first such key of an object, or null.
  [[nodiscard]] const JsonValue* Find(std::string_view key) const;
};

// kInvalid with the byte offset of a syntax error; kLimitExceeded for size, depth, and more than
// `most_values` values, which each take many times the bytes that they are written with.
Result<JsonValue> ParseJson(std::string_view text, const JobLimits& limits,
                            std::size_t most_values = std::numeric_limits<std::size_t>::max());

// One step of a JSON pointer (RFC 6901): "~" and "/" escaped.
std::string PointerStep(std::string_view pointer, std::string_view key);
std::string PointerStep(std::string_view pointer, std::size_t index);

// kInvalid: "<pointer>: <sentence>"; the whole document is called "the job".
std::unexpected<Error> FailAt(std::string_view pointer, std::string_view sentence);

// "an array", "a string", ...
std::string_view KindOf(const JsonValue& value);

}  // namespace zerocloud::job
