#include "middleware/store/description.h"

#include <rapidjson/stringbuffer.h>
#include <rapidjson/writer.h>

#include <algorithm>
#include <array>
#include <utility>

#include "middleware/http/text.h"
#include "middleware/store/sidecar_json.h"

namespace zerocloud::store {
namespace {

using Writer = rapidjson::Writer<rapidjson::StringBuffer>;

constexpr int kFormat = 1;

void WriteString(Writer& writer, std::string_view text) {
  writer.String(text.data(), static_cast<rapidjson::SizeType>(text.size()));
}

void WriteFields(Writer& writer, const char* key, const Fields& fields) {
  writer.Key(key);
  writer.StartObject();
  for (const auto& [name, value] : fields) {
    writer.Key(name.data(), static_cast<rapidjson::SizeType>(name.size()));
    WriteString(writer, value);
  }
  writer.EndObject();
}

std::unexpected<Error> Malformed(std::string_view what) {
  return Fail(ErrorCode::kInvalid, "sidecar: " + std::string(what));
}

std::optional<std::string> StringOf(const SidecarValue& object, std::string_view key) {
  const SidecarValue* found = object.Find(key, SidecarValue::Kind::kString);
  if (found == nullptr) return std::nullopt;
  return found->text;
}

std::optional<std::int64_t> NumberOf(const SidecarValue& object, std::string_view key) {
  const SidecarValue* found = object.Find(key, SidecarValue::Kind::kNumber);
  if (found == nullptr) return std::nullopt;
  return found->number;
}

// Timestamps are kept in ticks; beyond the year 9999 they could not be printed.
std::optional<Timestamp> TimestampOf(const SidecarValue& object, std::string_view key) {
  constexpr std::int64_t kMaxTicks = 253'402'300'799LL * 100'000;
  const auto ticks = NumberOf(object, key);
  if (!ticks || *ticks < 0 || *ticks > kMaxTicks) return std::nullopt;
  return Timestamp{*ticks};
}

std::optional<Fields> FieldsOf(const SidecarValue& object, std::string_view key) {
  const SidecarValue* found = object.Find(key, SidecarValue::Kind::kObject);
  if (found == nullptr || found->values.size() > kMaxFields) return std::nullopt;
  Fields fields;
  for (std::size_t i = 0; i < found->values.size(); ++i) {
    if (found->values[i].kind != SidecarValue::Kind::kString) return std::nullopt;
    fields[found->keys[i]] = found->values[i].text;
  }
  return fields;
}

Result<SidecarValue> ParseDocument(std::string_view text) {
  if (text.size() > kMaxSidecar) return Malformed("longer than the limit");
  auto document = ParseSidecarJson(text);
  if (!document) return document;
  if (!document->is_object() || NumberOf(*document, "format") != kFormat) {
    return Malformed("not an object of format 1");
  }
  return document;
}

bool IsEtag(std::string_view etag) {
  return etag.size() == 32 && std::ranges::all_of(etag, [](char c) {
           return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
         });
}

std::optional<ObjectDescription> DescriptionOf(const SidecarValue& json) {
  const auto size = NumberOf(json, "size");
  const auto mtime = NumberOf(json, "mtime_ns");
  const auto inode = StringOf(json, "inode");
  const auto inode_number = inode ? http::ParseNumber(*inode) : std::nullopt;
  const auto timestamp = TimestampOf(json, "timestamp");
  auto etag = StringOf(json, "etag");
  auto content_type = StringOf(json, "content_type");
  auto headers = FieldsOf(json, "headers");
  auto metadata = FieldsOf(json, "metadata");
  if (!size || *size < 0 || !mtime || !inode_number || !timestamp || !etag || !IsEtag(*etag) ||
      !content_type || !headers || !metadata) {
    return std::nullopt;
  }
  ObjectDescription description;
  description.size = static_cast<std::uint64_t>(*size);
  description.mtime_ns = *mtime;
  description.inode = *inode_number;
  description.timestamp = *timestamp;
  description.etag = *std::move(etag);
  description.content_type = *std::move(content_type);
  description.delete_at = NumberOf(json, "delete_at");
  description.headers = *std::move(headers);
  description.metadata = *std::move(metadata);
  return description;
}

void WriteDescription(Writer& writer, const ObjectDescription& description) {
  writer.StartObject();
  writer.Key("size");
  writer.Int64(static_cast<std::int64_t>(description.size));
  writer.Key("mtime_ns");
  writer.Int64(description.mtime_ns);
  writer.Key("inode");
  WriteString(writer, std::to_string(description.inode));  // may need all 64 bits
  writer.Key("timestamp");
  writer.Int64(description.timestamp.ticks);
  writer.Key("etag");
  WriteString(writer, description.etag);
  writer.Key("content_type");
  WriteString(writer, description.content_type);
  if (description.delete_at) {
    writer.Key("delete_at");
    writer.Int64(*description.delete_at);
  }
  WriteFields(writer, "headers", description.headers);
  WriteFields(writer, "metadata", description.metadata);
  writer.EndObject();
}

std::string TextOf(const rapidjson::StringBuffer& buffer) {
  std::string text(buffer.GetString(), buffer.GetSize());
  text.push_back('\n');
  return text;
}

}  // namespace

std::string WriteSidecar(const std::vector<ObjectDescription>& descriptions) {
  rapidjson::StringBuffer buffer;
  Writer writer(buffer);
  writer.StartObject();
  writer.Key("format");
  writer.Int(kFormat);
  writer.Key("descriptions");
  writer.StartArray();
  for (const ObjectDescription& description : descriptions) WriteDescription(writer, description);
  writer.EndArray();
  writer.EndObject();
  return TextOf(buffer);
}

Result<std::vector<ObjectDescription>> ParseSidecar(std::string_view text) {
  const auto document = ParseDocument(text);
  if (!document) return Fail(document);
  const SidecarValue* list = document->Find("descriptions", SidecarValue::Kind::kList);
  if (list == nullptr || list->values.size() > kMaxDescriptions) {
    return Malformed("/descriptions is not a list of at most " + std::to_string(kMaxDescriptions));
  }
  std::vector<ObjectDescription> descriptions;
  for (const SidecarValue& item : list->values) {
    auto description = DescriptionOf(item);
    if (!description) {
      return Malformed("/descriptions/" + std::to_string(descriptions.size()) + " is malformed");
    }
    descriptions.push_back(*std::move(description));
  }
  return descriptions;
}

std::string WriteFolderSidecar(const FolderDescription& description) {
  rapidjson::StringBuffer buffer;
  Writer writer(buffer);
  writer.StartObject();
  writer.Key("format");
  writer.Int(kFormat);
  writer.Key("created");
  writer.Int64(description.created.ticks);
  writer.Key("changed");
  writer.Int64(description.changed.ticks);
  WriteFields(writer, "headers", description.headers);
  writer.EndObject();
  return TextOf(buffer);
}

Result<FolderDescription> ParseFolderSidecar(std::string_view text) {
  const auto document = ParseDocument(text);
  if (!document) return Fail(document);
  const auto created = TimestampOf(*document, "created");
  const auto changed = TimestampOf(*document, "changed");
  auto headers = FieldsOf(*document, "headers");
  if (!created || !changed || !headers) return Malformed("a member is missing or malformed");
  return FolderDescription{*created, *changed, *std::move(headers)};
}

const ObjectDescription* FindDescription(const std::vector<ObjectDescription>& descriptions,
                                         std::uint64_t size, std::int64_t mtime_ns,
                                         std::uint64_t inode) {
  const ObjectDescription* found = nullptr;
  for (const ObjectDescription& description : descriptions) {
    if (description.size != size || description.mtime_ns != mtime_ns) continue;
    if (description.inode == inode) return &description;
    if (found == nullptr) found = &description;
  }
  return found;
}

std::string GuessContentType(std::string_view object_name) {
  constexpr std::array<std::pair<std::string_view, std::string_view>, 26> kTypes = {{
      {".bin", "application/octet-stream"},
      {".bz2", "application/x-bzip2"},
      {".c", "text/x-c"},
      {".css", "text/css"},
      {".csv", "text/csv"},
      {".gif", "image/gif"},
      {".gz", "application/gzip"},
      {".h", "text/x-c"},
      {".htm", "text/html"},
      {".html", "text/html"},
      {".jpeg", "image/jpeg"},
      {".jpg", "image/jpeg"},
      {".js", "text/javascript"},
      {".json", "application/json"},
      {".log", "text/plain"},
      {".md", "text/markdown"},
      {".mp4", "video/mp4"},
      {".pdf", "application/pdf"},
      {".png", "image/png"},
      {".py", "text/x-python"},
      {".svg", "image/svg+xml"},
      {".tar", "application/x-tar"},
      {".txt", "text/plain"},
      {".xml", "application/xml"},
      {".xz", "application/x-xz"},
      {".zip", "application/zip"},
  }};
  const auto dot = object_name.rfind('.');
  if (dot == std::string_view::npos) return "application/octet-stream";
  const std::string ending = http::ToLower(object_name.substr(dot));
  for (const auto& [known, type] : kTypes) {
    if (known == ending) return std::string(type);
  }
  return "application/octet-stream";
}

}  // namespace zerocloud::store
