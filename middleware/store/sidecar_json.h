// The JSON subset of sidecars as values: objects, lists, strings and whole numbers; bounded in size
// and depth, read without recursion. RapidJSON's reader does the parsing (its document class does
// not compile with clang 19). Private to this folder.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "channels/base/result.h"

namespace zerocloud::store {

struct SidecarValue {
  enum class Kind : std::uint8_t { kString, kNumber, kList, kObject };

  Kind kind = Kind::kString;
  std::string text;                  // kString
  std::int64_t number = 0;           // kNumber
  std::vector<std::string> keys;     // kObject: of `values`, in order
  std::vector<SidecarValue> values;  // kObject, kList

  [[nodiscard]] bool is_object() const { return kind == Kind::kObject; }
  [[nodiscard]] bool is_list() const { return kind == Kind::kList; }
  // The member of that key and kind of an object, or null.
  [[nodiscard]] const SidecarValue* Find(std::string_view key, Kind kind) const;
};

inline constexpr std::size_t kMaxSidecarDepth = 8;

// kInvalid: not JSON, deeper than kMaxSidecarDepth, or a value of another kind (null, true, 1.5, a
// number beyond 64 bits signed), with the offset.
Result<SidecarValue> ParseSidecarJson(std::string_view text);

}  // namespace zerocloud::store
