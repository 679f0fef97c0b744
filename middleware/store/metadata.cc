#include "middleware/store/metadata.h"

#include "middleware/http/text.h"
#include "middleware/store/acl.h"

namespace zerocloud::store {
namespace {

std::string ShortName(std::string_view name) {
  return std::string(name.substr(0, 64)) + (name.size() > 64 ? "..." : "");
}

Result<void> CheckItem(std::string_view name, std::string_view value, const ApiLimits& limits) {
  if (name.empty()) return Fail(ErrorCode::kInvalid, "a metadata name is empty");
  if (name.size() > limits.max_meta_name_length) {
    return Fail(ErrorCode::kInvalid, "the metadata name '" + ShortName(name) + "' has " +
                                         std::to_string(name.size()) +
                                         " bytes; max_meta_name_length is " +
                                         std::to_string(limits.max_meta_name_length));
  }
  if (value.size() > limits.max_meta_value_length) {
    return Fail(ErrorCode::kInvalid, "the value of metadata '" + ShortName(name) + "' has " +
                                         std::to_string(value.size()) +
                                         " bytes; max_meta_value_length is " +
                                         std::to_string(limits.max_meta_value_length));
  }
  if (!http::IsUtf8(name) || !http::IsUtf8(value)) {
    return Fail(ErrorCode::kInvalid, "metadata names and values must be valid UTF-8");
  }
  return {};
}

Result<void> CheckTotal(std::size_t count, std::size_t bytes, const ApiLimits& limits) {
  if (count > limits.max_meta_count) {
    return Fail(ErrorCode::kInvalid, "there are " + std::to_string(count) +
                                         " metadata items; max_meta_count is " +
                                         std::to_string(limits.max_meta_count));
  }
  if (bytes > limits.max_meta_overall_size) {
    return Fail(ErrorCode::kInvalid, "all metadata together has " + std::to_string(bytes) +
                                         " bytes; max_meta_overall_size is " +
                                         std::to_string(limits.max_meta_overall_size));
  }
  return {};
}

Result<void> ChangeAcl(std::string_view name, std::string_view value, Fields& kept) {
  const bool is_write = http::EqualsIgnoringCase(name, "X-Container-Write");
  auto canonical = NormalizeAcl(value, is_write);
  if (!canonical) return Fail(canonical);
  if (!http::IsUtf8(*canonical)) {
    return Fail(ErrorCode::kInvalid, "an access list must be valid UTF-8");
  }
  const std::string key = is_write ? "X-Container-Write" : "X-Container-Read";
  if (canonical->empty()) {
    kept.erase(key);
  } else {
    kept[key] = *std::move(canonical);
  }
  return {};
}

}  // namespace

std::string TitleCase(std::string_view name) {
  std::string out;
  bool starts_word = true;
  for (const char c : name) {
    const char lower = http::ToLower(c);
    const bool is_letter = lower >= 'a' && lower <= 'z';
    out.push_back(starts_word && is_letter ? static_cast<char>(lower - 'a' + 'A') : lower);
    starts_word = c == '-';
  }
  return out;
}

Result<Fields> ObjectMetadata(const http::Headers& headers, const ApiLimits& limits) {
  constexpr std::string_view kPrefix = "X-Object-Meta-";
  Fields fields;
  std::size_t bytes = 0;
  for (const auto& [name, value] : headers) {
    if (!http::StartsWithIgnoringCase(name, kPrefix)) continue;
    const std::string key = TitleCase(std::string_view(name).substr(kPrefix.size()));
    if (auto checked = CheckItem(key, value, limits); !checked) return Fail(checked);
    fields[key] = value;
  }
  for (const auto& [name, value] : fields) bytes += name.size() + value.size();
  if (auto checked = CheckTotal(fields.size(), bytes, limits); !checked) return Fail(checked);
  return fields;
}

Result<void> ChangeFolderHeaders(const http::Headers& headers, std::string_view kind,
                                 const ApiLimits& limits, Fields& kept) {
  const std::string meta = "X-" + std::string(kind) + "-Meta-";
  const std::string remove = "X-Remove-" + std::string(kind) + "-";
  const bool has_acl = kind == "Container";
  for (const auto& [name, value] : headers) {
    if (http::StartsWithIgnoringCase(name, remove)) {
      kept.erase("X-" + std::string(kind) + "-" +
                 TitleCase(std::string_view(name).substr(remove.size())));
    } else if (http::StartsWithIgnoringCase(name, meta)) {
      const std::string key = TitleCase(std::string_view(name).substr(meta.size()));
      if (auto checked = CheckItem(key, value, limits); !checked) return checked;
      if (value.empty()) {
        kept.erase(meta + key);
      } else {
        kept[meta + key] = value;
      }
    } else if (has_acl && (http::EqualsIgnoringCase(name, "X-Container-Read") ||
                           http::EqualsIgnoringCase(name, "X-Container-Write"))) {
      if (auto changed = ChangeAcl(name, value, kept); !changed) return changed;
    }
  }
  std::size_t count = 0;
  std::size_t bytes = 0;
  for (const auto& [name, value] : kept) {
    if (!name.starts_with(meta)) continue;
    ++count;
    bytes += name.size() - meta.size() + value.size();
  }
  return CheckTotal(count, bytes, limits);
}

}  // namespace zerocloud::store
