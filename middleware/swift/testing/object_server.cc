#include "middleware/swift/testing/object_server.h"

#include <fmt/format.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>
#include <zlib.h>

#include <fstream>

#include "middleware/digest/digest.h"

namespace zerocloud::swift {
namespace {

constexpr const char* kConf = "[swift-hash]\nswift_hash_path_suffix = tests\n";

std::string LittleEndian(std::uint32_t number, std::size_t bytes) {
  std::string text;
  for (std::size_t i = 0; i < bytes; ++i) text.push_back(static_cast<char>(number >> (8 * i)));
  return text;
}

std::string BigEndian(std::uint32_t number, std::size_t bytes) {
  const std::string text = LittleEndian(number, bytes);
  return {text.rbegin(), text.rend()};
}

std::string PickledBytes(std::string_view bytes) {
  std::string text;
  for (const char c : bytes) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte >= 0x80) text.push_back(static_cast<char>(0xc0U | byte >> 6U));
    text.push_back(static_cast<char>(byte >= 0x80 ? 0x80U | (byte & 0x3fU) : byte));
  }
  if (text.empty()) return "c__builtin__\nbytes\n)R";
  const auto size = static_cast<std::uint32_t>(text.size());
  return "c_codecs\nencode\nX" + LittleEndian(size, 4) + text + std::string("X\6\0\0\0latin1", 11) +
         "\x86R";
}

}  // namespace

std::string PickleOf(const Metadata& metadata) {
  constexpr std::size_t kBatch = 1000;  // CPython's
  std::string items;
  std::size_t count = 0;
  for (const auto& [key, value] : metadata) {
    if (count % kBatch == 0) items += count == 0 ? "(" : "u(";
    items += PickledBytes(key) + PickledBytes(value);
    ++count;
  }
  return "\x80\2}q" + std::string(1, '\0') + items + (items.empty() ? "." : "u.");
}

std::string Md5Hex(std::string_view bytes) {
  digest::Md5 md5;
  md5.Add(bytes);
  return md5.Hex();
}

std::string Gzip(std::string_view bytes) {
  z_stream stream{};
  EXPECT_EQ(::deflateInit2(&stream, 6, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY), Z_OK);
  std::string input(bytes);
  std::string out(::deflateBound(&stream, input.size()), '\0');
  stream.next_in = reinterpret_cast<Bytef*>(input.data());
  stream.avail_in = static_cast<uInt>(input.size());
  stream.next_out = reinterpret_cast<Bytef*>(out.data());
  stream.avail_out = static_cast<uInt>(out.size());
  EXPECT_EQ(::deflate(&stream, Z_FINISH), Z_STREAM_END);
  out.resize(stream.total_out);
  ::deflateEnd(&stream);
  return out;
}

std::string RingOf(const RingText& ring) {
  std::vector<std::vector<std::uint16_t>> rows = ring.rows;
  if (rows.empty()) rows.emplace_back(std::size_t{1} << (32 - ring.part_shift), 0);
  const std::string json =
      fmt::format(R"({{"byteorder": "{}", "devs": {}, "part_shift": {}, "replica_count": {}}})",
                  ring.order, ring.devices, ring.part_shift, rows.size());
  std::string bytes =
      "R1NG" + BigEndian(1, 2) + BigEndian(static_cast<std::uint32_t>(json.size()), 4) + json;
  for (const std::vector<std::uint16_t>& row : rows) {
    for (const std::uint16_t device : row) {
      bytes += ring.order == "big" ? BigEndian(device, 2) : LittleEndian(device, 2);
    }
  }
  return bytes;
}

ObjectServer::ObjectServer() {
  std::string name = std::filesystem::temp_directory_path() / "zerocloud-swift-XXXXXX";
  EXPECT_NE(::mkdtemp(name.data()), nullptr);
  root = name;
  devices = root / "devices";
  conf = root / "conf";
  std::filesystem::create_directories(devices / "d1");
  std::filesystem::create_directories(conf);
  Write(conf / "swift.conf", kConf);
  WriteRing({});
}

ObjectServer::~ObjectServer() { std::filesystem::remove_all(root); }

bool ObjectServer::HasAttributes() const {
  return ::setxattr(root.c_str(), "user.swift.metadata", "x", 1, 0) == 0;
}

void ObjectServer::Write(const std::filesystem::path& file, std::string_view bytes) const {
  std::filesystem::create_directories(file.parent_path());
  // As Swift's tools do, so that the change is seen however coarse the clock is.
  const std::filesystem::path fresh = file.string() + ".new";
  std::ofstream(fresh, std::ios::binary) << bytes;
  std::filesystem::rename(fresh, file);
}

void ObjectServer::WriteRing(const RingText& ring, unsigned policy) const {
  Write(conf / StoragePolicy{.index = policy, .is_replicated = true}.RingName(),
        Gzip(RingOf(ring)));
}

Result<std::unique_ptr<LocalObjects>> ObjectServer::Open() const {
  LocalOptions options;
  options.devices_directory = devices;
  options.swift_directory = conf;
  options.addresses = addresses;
  options.complain = [this](const std::string& text) { complaints.push_back(text); };
  options.clock = [this] { return now_ns; };
  return LocalObjects::Open(std::move(options));
}

std::filesystem::path ObjectServer::HashDir(const store::ObjectPath& path, unsigned policy) const {
  const PathHash hash = HashPath({"", "tests"}, path).value();
  return devices / "d1" / HashDirectory(policy, PartitionOf(hash, RingText{}.part_shift), hash);
}

store::ObjectInfo ObjectServer::Put(const store::ObjectPath& path, std::string_view body,
                                    const Metadata& more, std::string_view time,
                                    unsigned policy) const {
  store::ObjectInfo info;
  info.size = body.size();
  info.etag = Md5Hex(body);
  info.content_type = "text/plain";
  info.last_modified = time;
  Metadata metadata = {{"X-Timestamp", info.last_modified},
                       {"Content-Length", std::to_string(info.size)},
                       {"ETag", info.etag},
                       {"Content-Type", info.content_type},
                       {"name", path.ToString()}};
  for (const auto& [key, value] : more) metadata[key] = value;
  const std::filesystem::path file = HashDir(path, policy) / (info.last_modified + ".data");
  Write(file, body);
  SetMetadata(file, PickleOf(metadata));
  return info;
}

void ObjectServer::PutFile(const store::ObjectPath& path, const std::string& name,
                           std::string_view body, const Metadata& metadata) const {
  Write(HashDir(path) / name, body);
  SetMetadata(HashDir(path) / name, PickleOf(metadata));
}

void SetMetadata(const std::filesystem::path& file, const std::string& pickle) {
  const std::string sum = Md5Hex(pickle);
  EXPECT_EQ(::setxattr(file.c_str(), "user.swift.metadata", pickle.data(), pickle.size(), 0), 0);
  EXPECT_EQ(::setxattr(file.c_str(), "user.swift.metadata_checksum", sum.data(), sum.size(), 0), 0);
}

std::string ReadAll(const UniqueFd& file) {
  struct stat facts{};
  EXPECT_EQ(::fstat(file.get(), &facts), 0);
  std::string bytes(static_cast<std::size_t>(facts.st_size), '\0');
  EXPECT_EQ(::pread(file.get(), bytes.data(), bytes.size(), 0), facts.st_size);
  return bytes;
}

}  // namespace zerocloud::swift
