// A key file in a directory of its own, for tests.
#pragma once

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <memory>
#include <string>

#include "middleware/peer/key_file.h"

namespace zerocloud::peer {

class KeysOnDisk {
 public:
  KeysOnDisk() {
    std::string name = testing::TempDir() + "/keys-XXXXXX";
    directory_ = ::mkdtemp(name.data());
  }
  ~KeysOnDisk() { std::filesystem::remove_all(directory_); }
  KeysOnDisk(const KeysOnDisk&) = delete;
  KeysOnDisk& operator=(const KeysOnDisk&) = delete;

  // A file with that text, read by a clock that says `now`.
  std::unique_ptr<KeyFile> Open(const std::string& text, Seconds now = 1000) {
    const std::string path = directory_ + "/" + std::to_string(++files_);
    std::ofstream(path) << text;
    ::chmod(path.c_str(), 0600);
    auto file = KeyFile::Open(path, [now] { return now; });
    EXPECT_TRUE(file.has_value()) << file.error().message;
    return file ? std::move(*file) : nullptr;
  }
  // One key without bounds: 32 times the byte of those digits.
  static std::string Line(const std::string& id, const std::string& digits) {
    std::string line = id + " - - ";
    for (std::size_t i = 0; i < kKeyBytes; ++i) line += digits;
    return line + "\n";
  }

 private:
  std::string directory_;
  int files_ = 0;
};

}  // namespace zerocloud::peer
