// Members of a JSON object, written one after the other. Private to this folder.
#pragma once

#include <rapidjson/stringbuffer.h>
#include <rapidjson/writer.h>

#include <cstdint>
#include <string>
#include <string_view>

#include "middleware/digest/hex.h"
#include "middleware/http/text.h"

namespace zerocloud::remote {

class JsonWriter {
 public:
  JsonWriter() { writer_.StartObject(); }
  JsonWriter& Number(std::string_view name, std::uint64_t number) {
    Key(name);
    writer_.Uint64(number);
    return *this;
  }
  JsonWriter& Text(std::string_view name, std::string_view text) {
    Key(name);
    if (http::IsUtf8(text)) {
      String(text);
      return *this;
    }
    writer_.StartObject();
    Key("hex");
    String(digest::ToHex(text));
    writer_.EndObject();
    return *this;
  }
  void OpenList(std::string_view name) {
    Key(name);
    writer_.StartArray();
  }
  void Element(std::string_view text) { String(text); }  // of a list; UTF-8
  void CloseList() { writer_.EndArray(); }
  void OpenObject() { writer_.StartObject(); }
  void CloseObject() { writer_.EndObject(); }
  std::string Take() {
    writer_.EndObject();
    return {buffer_.GetString(), buffer_.GetSize()};
  }

 private:
  void Key(std::string_view name) {
    writer_.Key(name.data(), static_cast<rapidjson::SizeType>(name.size()));
  }
  void String(std::string_view text) {
    writer_.String(text.data(), static_cast<rapidjson::SizeType>(text.size()));
  }
  rapidjson::StringBuffer buffer_;
  rapidjson::Writer<rapidjson::StringBuffer> writer_{buffer_};
};

}  // namespace zerocloud::remote
