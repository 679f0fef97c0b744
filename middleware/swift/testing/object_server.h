// What an object server leaves on disk, made by tests: a directory of devices, swift.conf, rings,
// and files with Swift's metadata.
#pragma once

#include <gtest/gtest.h>

#include <filesystem>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "middleware/swift/local_objects.h"

namespace zerocloud::swift {

// As Python 3 pickles a dictionary of bytes.
std::string PickleOf(const Metadata& metadata);
std::string Md5Hex(std::string_view bytes);
std::string Gzip(std::string_view bytes);

struct RingText {
  unsigned part_shift = 26;
  std::string devices = R"([{"id": 0, "device": "d1", "ip": "127.0.0.1", "port": 6010}])";
  std::string order = "little";
  std::vector<std::vector<std::uint16_t>> rows = {};  // empty: one replica, all on device 0
};
// A ring of version 1, not yet compressed.
std::string RingOf(const RingText& ring);

class ObjectServer {
 public:
  ObjectServer();
  ObjectServer(const ObjectServer&) = delete;
  ObjectServer& operator=(const ObjectServer&) = delete;
  ~ObjectServer();

  // Whether the file system takes Swift's attributes; else there is nothing to test.
  [[nodiscard]] bool HasAttributes() const;

  void Write(const std::filesystem::path& file, std::string_view bytes) const;
  void WriteRing(const RingText& ring, unsigned policy = 0) const;
  [[nodiscard]] Result<std::unique_ptr<LocalObjects>> Open() const;

  // The directory of an object.
  [[nodiscard]] std::filesystem::path HashDir(const store::ObjectPath& path,
                                              unsigned policy = 0) const;
  // A .data file as Swift writes it, with `more` instead of or beside the usual metadata; returns
  // what Swift would say about the object.
  store::ObjectInfo Put(const store::ObjectPath& path, std::string_view body,
                        const Metadata& more = {}, std::string_view time = "1700000000.12345",
                        unsigned policy = 0) const;
  // Any file of it with these metadata.
  void PutFile(const store::ObjectPath& path, const std::string& name, std::string_view body,
               const Metadata& metadata) const;

  std::filesystem::path root;     // removed at the end
  std::filesystem::path devices;  // root/devices
  std::filesystem::path conf;     // root/conf
  std::vector<std::string> addresses;
  mutable std::vector<std::string> complaints;
  std::int64_t now_ns = 1'700'000'100'000'000'000;
};

void SetMetadata(const std::filesystem::path& file, const std::string& pickle);
std::string ReadAll(const UniqueFd& file);

}  // namespace zerocloud::swift
