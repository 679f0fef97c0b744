#include "middleware/swift/ring.h"

#include <fmt/format.h>
#include <rapidjson/memorystream.h>
#include <rapidjson/reader.h>
#include <zlib.h>

#include <algorithm>
#include <array>
#include <memory>
#include <optional>
#include <utility>

namespace zerocloud::swift {
namespace {

constexpr std::string_view kMagic = "R1NG";
constexpr std::size_t kHeadBytes = 10;  // magic, version, length of the JSON
constexpr std::size_t kMaxDevices = 65'536;
constexpr std::size_t kLongestName = 255;

std::unexpected<Error> FailRing(std::string_view sentence) {
  return Fail(ErrorCode::kInvalid, fmt::format("not a ring: {}", sentence));
}

std::uint32_t BigEndian(std::string_view bytes) {
  std::uint32_t number = 0;
  for (const char byte : bytes) number = number << 8U | static_cast<unsigned char>(byte);
  return number;
}

// What stands in the JSON, as it comes: an object with a list of objects called "devs".
class RingJson {
 public:
  using Ch = char;

  std::vector<RingDevice> devices;
  std::string byte_order;
  std::optional<std::uint64_t> part_shift;
  std::optional<std::uint64_t> replicas;
  std::string_view why = "it is no JSON";

  bool Null() {
    if (IsDeviceList()) devices.emplace_back();
    return IsInside() && HasRoom();
  }
  bool Bool(bool) { return IsInside(); }
  bool Int(int) { return IsInside(); }
  bool Uint(unsigned number) { return Number(number); }
  bool Int64(std::int64_t) { return IsInside(); }
  bool Uint64(std::uint64_t number) { return Number(number); }
  bool Double(double) { return IsInside(); }
  // Only called with a flag that is not set.
  bool RawNumber(const char*, rapidjson::SizeType, bool) { return false; }
  bool String(const char* text, rapidjson::SizeType size, bool) {
    const std::string_view value(text, size);
    if (depth_ == 1 && key_ == "byteorder") byte_order = value;
    if (IsDevice()) {
      if (key_ == "device") devices.back().name = value;
      if (key_ == "ip") devices.back().address = value;
      if (key_ == "replication_ip") devices.back().replication_address = value;
    }
    return IsInside();
  }
  bool Key(const char* text, rapidjson::SizeType size, bool) {
    if (depth_ == 1) top_key_.assign(text, size);
    key_.assign(text, size);
    return true;
  }
  bool StartObject() {
    if (IsDeviceList())
      devices.push_back({.is_there = true, .name = {}, .address = {}, .replication_address = {}});
    return Open() && HasRoom();
  }
  bool StartArray() { return depth_ > 0 && Open(); }
  bool EndObject(rapidjson::SizeType) { return Close(); }
  bool EndArray(rapidjson::SizeType) { return Close(); }

 private:
  static constexpr int kMaxDepth = 8;

  [[nodiscard]] bool IsInside() const { return depth_ > 0; }
  // Directly in the list, or in one of its objects.
  [[nodiscard]] bool IsDeviceList() const { return depth_ == 2 && top_key_ == "devs"; }
  [[nodiscard]] bool IsDevice() const {
    return depth_ == 3 && top_key_ == "devs" && !devices.empty();
  }
  bool HasRoom() {
    if (devices.size() <= kMaxDevices) return true;
    why = "it has more than 65536 devices";
    return false;
  }
  bool Number(std::uint64_t number) {
    if (depth_ == 1 && key_ == "part_shift") part_shift = number;
    if (depth_ == 1 && key_ == "replica_count") replicas = number;
    return IsInside();
  }
  bool Open() { return ++depth_ <= kMaxDepth; }
  bool Close() {
    --depth_;
    return true;
  }

  int depth_ = 0;
  std::string top_key_;
  std::string key_;
};

// A name that is a directory of its own and no way out of it.
bool IsDirectoryName(std::string_view name) {
  return !name.empty() && name.size() <= kLongestName && name != "." && name != ".." &&
         name.find('/') == std::string_view::npos && name.find('\0') == std::string_view::npos;
}

Result<RingJson> ParseJson(std::string_view text) {
  RingJson json;
  rapidjson::MemoryStream stream(text.data(), text.size());
  rapidjson::Reader reader;
  const rapidjson::ParseResult parsed = reader.Parse < rapidjson::kParseIterativeFlag |
                                        rapidjson::kParseValidateEncodingFlag > (stream, json);
  if (parsed.IsError()) {
    return FailRing(fmt::format("{} (byte {} of its JSON)", json.why, parsed.Offset()));
  }
  for (const RingDevice& device : json.devices) {
    if (device.is_there && !IsDirectoryName(device.name)) {
      return FailRing("the name of one of its devices is no name of a directory");
    }
  }
  return json;
}

}  // namespace

Result<Ring> Ring::Parse(std::string unpacked) {
  const std::string_view bytes = unpacked;
  if (bytes.size() < kHeadBytes || !bytes.starts_with(kMagic)) {
    return FailRing("it does not begin with R1NG; rings of Swift before 1.7 must be written again");
  }
  const std::uint32_t version = BigEndian(bytes.substr(4, 2));
  if (version != 1) {
    return FailRing(fmt::format("its format is of version {}, and only 1 is known", version));
  }
  const std::uint32_t json_size = BigEndian(bytes.substr(6, 4));
  if (json_size > kMaxRingJsonBytes || json_size > bytes.size() - kHeadBytes) {
    return FailRing(fmt::format("its JSON of {} bytes is longer than the file or the limit of {}",
                                json_size, kMaxRingJsonBytes));
  }
  Result<RingJson> json = ParseJson(bytes.substr(kHeadBytes, json_size));
  if (!json) return Fail(json);
  const std::uint64_t part_shift = json->part_shift.value_or(0);
  const std::uint64_t replicas = json->replicas.value_or(0);
  if (part_shift < kMinPartShift || part_shift > 32) {
    return FailRing(fmt::format("part_shift is not from {} to 32", kMinPartShift));
  }
  if (replicas == 0 || replicas > kMaxRingReplicas) {
    return FailRing(fmt::format("replica_count is not from 1 to {}", kMaxRingReplicas));
  }
  Ring ring;
  ring.part_shift_ = static_cast<unsigned>(part_shift);
  // Old rings do not say; they were written in the order of their machine.
  if (json->byte_order == "big") ring.order_ = std::endian::big;
  if (json->byte_order == "little") ring.order_ = std::endian::little;
  ring.devices_ = std::move(json->devices);

  const std::size_t row = std::size_t{2} << (32 - ring.part_shift_);
  const std::size_t start = kHeadBytes + json_size;
  const std::size_t table = bytes.size() - start;
  const std::size_t whole = (replicas - 1) * row;
  if (table <= whole || table > whole + row || table % 2 != 0) {
    return FailRing(
        fmt::format("{} bytes of table for {} replicas of {} bytes", table, replicas, row));
  }
  for (std::size_t i = 0; i < replicas; ++i) ring.rows_.push_back(start + i * row);
  ring.bytes_ = std::move(unpacked);
  return ring;
}

std::vector<const RingDevice*> Ring::DevicesOf(std::uint32_t partition) const {
  std::vector<const RingDevice*> found;
  for (const std::size_t row : rows_) {
    const std::size_t at = row + std::size_t{2} * partition;
    if (at + 2 > bytes_.size()) continue;  // the last replica does not have every partition
    const std::size_t first = static_cast<unsigned char>(bytes_[at]);
    const std::size_t second = static_cast<unsigned char>(bytes_[at + 1]);
    const std::size_t index =
        order_ == std::endian::big ? first << 8U | second : second << 8U | first;
    if (index < devices_.size() && devices_[index].is_there) found.push_back(&devices_[index]);
  }
  return found;
}

Result<std::string> Gunzip(std::string_view packed, std::size_t limit) {
  constexpr int kGzipOnly = 15 + 16;  // the largest window, with gzip's head and check sum
  z_stream stream{};
  if (::inflateInit2(&stream, kGzipOnly) != Z_OK) {
    return Fail(ErrorCode::kUnavailable, "no memory to unpack a file");
  }
  const auto end = [](z_stream* used) { ::inflateEnd(used); };
  const std::unique_ptr<z_stream, decltype(end)> ended(&stream, end);
  std::string input(packed);  // zlib wants it mutable
  stream.next_in = reinterpret_cast<Bytef*>(input.data());
  stream.avail_in = static_cast<uInt>(input.size());
  std::string out;
  std::array<char, 65'536> piece;
  for (;;) {
    stream.next_out = reinterpret_cast<Bytef*>(piece.data());
    stream.avail_out = piece.size();
    const int status = ::inflate(&stream, Z_NO_FLUSH);
    const std::size_t count = piece.size() - stream.avail_out;
    if (count > limit - out.size()) {
      return Fail(ErrorCode::kLimitExceeded,
                  fmt::format("it unpacks to more than the limit of {} bytes", limit));
    }
    out.append(piece.data(), count);
    if (status == Z_STREAM_END) break;
    if (status != Z_OK) {
      return Fail(ErrorCode::kInvalid, "it is no whole gzip file, or damaged");
    }
  }
  if (stream.avail_in != 0) return Fail(ErrorCode::kInvalid, "bytes follow the gzip stream");
  return out;
}

}  // namespace zerocloud::swift
