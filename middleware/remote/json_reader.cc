#include "middleware/remote/json_reader.h"

#include <fmt/format.h>

#include "middleware/digest/hex.h"
#include "middleware/peer/frame.h"

namespace zerocloud::remote {
void JsonReader::Refuse(std::string_view name, std::string_view why) {
  if (why_.empty()) why_ = fmt::format("\"{}\" {}", name, why);
}

Result<void> JsonReader::Check() const {
  if (why_.empty()) return {};
  return Fail(ErrorCode::kInvalid, fmt::format("a wrong {}: {}", what_, why_));
}

std::uint64_t JsonReader::Number(std::string_view name, std::uint64_t most) {
  const job::JsonValue* member = Maybe(name);
  if (member == nullptr || !member->whole) {
    Refuse(name, "is no whole number");
    return 0;
  }
  if (*member->whole > most) {
    Refuse(name, fmt::format("is {}, more than {}", *member->whole, most));
    return 0;
  }
  return *member->whole;
}

std::string JsonReader::Text(std::string_view name, std::size_t most) {
  const job::JsonValue* member = Maybe(name);
  if (member != nullptr && member->is_string()) {
    if (member->text.size() <= most) return member->text;
    Refuse(name, fmt::format("is longer than {} bytes", most));
    return {};
  }
  const job::JsonValue* hex =
      member != nullptr && member->is_object() ? member->Find("hex") : nullptr;
  std::optional<std::string> bytes;
  if (hex != nullptr && hex->is_string()) bytes = digest::FromHex(hex->text);
  if (!bytes) {
    Refuse(name, "is no text");
    return {};
  }
  if (bytes->size() > most) {
    Refuse(name, fmt::format("is longer than {} bytes", most));
    return {};
  }
  return std::move(*bytes);
}

const std::vector<job::JsonValue>& JsonReader::List(std::string_view name, std::size_t most) {
  static const std::vector<job::JsonValue> kNone;
  const job::JsonValue* member = Maybe(name);
  if (member == nullptr || !member->is_array()) {
    Refuse(name, "is no list");
    return kNone;
  }
  if (member->elements.size() > most) {
    Refuse(name, fmt::format("has more than {} elements", most));
    return kNone;
  }
  return member->elements;
}

Result<job::JsonValue> ParseFrameJson(std::string_view json, std::size_t most_values) {
  job::JobLimits limits;
  limits.document_bytes = peer::kMaxJsonBytes;
  limits.document_depth = 8;
  return job::ParseJson(json, limits, most_values);
}

}  // namespace zerocloud::remote
