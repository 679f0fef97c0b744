#include "middleware/remote/wire_values.h"

#include <algorithm>

#include "middleware/remote/wire_holds.h"

namespace zerocloud::remote {
namespace {

bool IsHex(std::string_view text, std::size_t size) {
  return text.size() == size && std::ranges::all_of(text, [](char c) {
           return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
         });
}

}  // namespace

std::string ReadSha256(JsonReader& reader) {
  std::string digest = reader.Text("sha256", 64);
  if (!IsHex(digest, 64)) reader.Refuse("sha256", "is no SHA-256");
  return digest;
}

std::string ReadId(JsonReader& reader, std::string_view name) {
  std::string id = reader.Text(name, kIdDigits);
  if (!IsHex(id, kIdDigits)) reader.Refuse(name, "is no id");
  return id;
}

std::vector<std::string> ReadIds(JsonReader& reader, std::string_view name, std::size_t most) {
  std::vector<std::string> ids;
  for (const job::JsonValue& element : reader.List(name, most)) {
    if (!element.is_string() || !IsHex(element.text, kIdDigits)) {
      reader.Refuse(name, "holds what is no id");
      return {};
    }
    ids.push_back(element.text);
  }
  return ids;
}

void WriteIds(JsonWriter& json, std::string_view name, const std::vector<std::string>& ids) {
  json.OpenList(name);
  for (const std::string& id : ids) json.Element(id);
  json.CloseList();
}

bool IsHeaderValue(std::string_view text) {
  constexpr std::string_view kNoValue("\0\r\n", 3);
  return text.find_first_of(kNoValue) == std::string_view::npos;
}

store::Caller ReadCaller(JsonReader& reader) {
  store::Caller caller = {.account = reader.Text("account", kNameBytes),
                          .user = reader.Text("user", kNameBytes),
                          .token = reader.Text("token", kTokenBytes),
                          .trace = reader.Text("trace", kNameBytes)};
  if (!IsHeaderValue(caller.token) || !IsHeaderValue(caller.trace)) {
    reader.Refuse("token", "or the trace holds a line's end");
  }
  return caller;
}

void WriteCaller(JsonWriter& json, const store::Caller& caller) {
  json.Text("account", caller.account)
      .Text("user", caller.user)
      .Text("token", caller.token)
      .Text("trace", caller.trace);
}

store::ObjectPath ReadPath(JsonReader& reader, std::string_view account) {
  store::ObjectPath path = {reader.Text(account, kNameBytes), reader.Text("container", kNameBytes),
                            reader.Text("object", kNameBytes)};
  for (const std::string* part : {&path.account, &path.container, &path.object}) {
    if (part->empty() || part->contains('\0')) reader.Refuse("object", "is no object's path");
  }
  if (path.account.contains('/') || path.container.contains('/')) {
    reader.Refuse("object", "is no object's path");
  }
  return path;
}

void WritePath(JsonWriter& json, std::string_view account, const store::ObjectPath& path) {
  json.Text(account, path.account).Text("container", path.container).Text("object", path.object);
}

}  // namespace zerocloud::remote
