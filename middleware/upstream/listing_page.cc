#include "middleware/upstream/listing_page.h"

#include <rapidjson/memorystream.h>
#include <rapidjson/reader.h>

#include <utility>

#include "middleware/store/timestamp.h"

namespace zerocloud::upstream {
namespace {

// An array of flat objects, of which only some keys matter.
class EntryCollector {
 public:
  using Ch = char;

  explicit EntryCollector(std::size_t most) : most_(most) {}

  std::vector<store::ListedObject> entries;

  bool Null() { return Skip(); }
  bool Bool(bool) { return Skip(); }
  bool Int(int) { return Skip(); }
  bool Uint(unsigned number) { return Number(number); }
  bool Int64(std::int64_t) { return Skip(); }
  bool Uint64(std::uint64_t number) { return Number(number); }
  bool Double(double) { return Skip(); }
  // Only called with a flag that is not set.
  bool RawNumber(const char*, rapidjson::SizeType, bool) { return false; }
  bool String(const char* text, rapidjson::SizeType size, bool) {
    if (depth_ != 2) return Skip();
    const std::string_view value(text, size);
    if (key_ == "name") {
      entry_.name = value;
      has_name_ = true;
    } else if (key_ == "hash") {
      entry_.info.etag = value;
    } else if (key_ == "content_type") {
      entry_.info.content_type = value;
    } else if (key_ == "last_modified") {
      const auto time = store::Timestamp::ParseIso(value);
      entry_.info.last_modified = time ? time->ToString() : "";
    }
    return Skip();
  }
  bool Key(const char* text, rapidjson::SizeType size, bool) {
    key_ = depth_ == 2 ? std::string(text, size) : std::string();
    return true;
  }
  bool StartArray() { return Open(depth_ == 0 || depth_ >= 2); }
  bool StartObject() {
    if (depth_ == 1) {
      entry_ = {};
      has_name_ = false;
    }
    return Open(depth_ >= 1);
  }
  bool EndArray(rapidjson::SizeType) { return Close(); }
  bool EndObject(rapidjson::SizeType) {
    if (depth_ == 2 && has_name_) entries.push_back(std::move(entry_));
    return Close() && !is_full();
  }
  [[nodiscard]] bool is_full() const { return entries.size() >= most_; }

 private:
  static constexpr int kMaxDepth = 16;
  bool Number(std::uint64_t number) {
    if (depth_ == 2 && key_ == "bytes") entry_.info.size = number;
    return Skip();
  }
  bool Open(bool is_expected) {
    ++depth_;
    key_.clear();
    return is_expected && depth_ <= kMaxDepth;
  }
  bool Close() {
    --depth_;
    return true;
  }
  // A value; at the outermost levels there must be none.
  bool Skip() {
    key_.clear();
    return depth_ >= 2;
  }

  const std::size_t most_;
  int depth_ = 0;
  std::string key_;  // whose value comes next, of an entry
  store::ListedObject entry_;
  bool has_name_ = false;
};

}  // namespace

Result<std::vector<store::ListedObject>> ParseListingPage(std::string_view json, std::size_t most) {
  EntryCollector collector(most);
  rapidjson::MemoryStream stream(json.data(), json.size());
  rapidjson::Reader reader;
  const rapidjson::ParseResult parsed = reader.Parse < rapidjson::kParseIterativeFlag |
                                        rapidjson::kParseValidateEncodingFlag > (stream, collector);
  if (parsed.IsError() && !collector.is_full()) {
    return Fail(ErrorCode::kUnavailable, "the upstream's listing is not what Swift sends: byte " +
                                             std::to_string(parsed.Offset()));
  }
  return std::move(collector.entries);
}

}  // namespace zerocloud::upstream
