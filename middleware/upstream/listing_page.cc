#include "middleware/upstream/listing_page.h"

#include <rapidjson/memorystream.h>
#include <rapidjson/reader.h>

#include <utility>

namespace zerocloud::upstream {
namespace {

// An array of flat objects, of which only the strings called "name" matter.
class NameCollector {
 public:
  using Ch = char;

  std::vector<std::string> names;

  bool Null() { return Skip(); }
  bool Bool(bool) { return Skip(); }
  bool Int(int) { return Skip(); }
  bool Uint(unsigned) { return Skip(); }
  bool Int64(std::int64_t) { return Skip(); }
  bool Uint64(std::uint64_t) { return Skip(); }
  bool Double(double) { return Skip(); }
  // Only called with a flag that is not set.
  bool RawNumber(const char*, rapidjson::SizeType, bool) { return false; }
  bool String(const char* text, rapidjson::SizeType size, bool) {
    if (depth_ == 2 && is_name_) names.emplace_back(text, size);
    return Skip();
  }
  bool Key(const char* text, rapidjson::SizeType size, bool) {
    is_name_ = depth_ == 2 && std::string_view(text, size) == "name";
    return true;
  }
  bool StartArray() { return Open(depth_ == 0 || depth_ >= 2); }
  bool StartObject() { return Open(depth_ >= 1); }
  bool EndArray(rapidjson::SizeType) { return Close(); }
  bool EndObject(rapidjson::SizeType) { return Close(); }

 private:
  static constexpr int kMaxDepth = 16;
  bool Open(bool is_expected) {
    ++depth_;
    is_name_ = false;
    return is_expected && depth_ <= kMaxDepth;
  }
  bool Close() {
    --depth_;
    return true;
  }
  // A value; at the outermost levels there must be none.
  bool Skip() {
    is_name_ = false;
    return depth_ >= 2;
  }

  int depth_ = 0;
  bool is_name_ = false;
};

}  // namespace

Result<std::vector<std::string>> ParseListingPage(std::string_view json) {
  NameCollector collector;
  rapidjson::MemoryStream stream(json.data(), json.size());
  rapidjson::Reader reader;
  const rapidjson::ParseResult parsed = reader.Parse < rapidjson::kParseIterativeFlag |
                                        rapidjson::kParseValidateEncodingFlag > (stream, collector);
  if (parsed.IsError()) {
    return Fail(ErrorCode::kUnavailable, "the upstream's listing is not what Swift sends: byte " +
                                             std::to_string(parsed.Offset()));
  }
  return std::move(collector.names);
}

}  // namespace zerocloud::upstream
