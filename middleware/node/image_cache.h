// ImageCache: programs that were verified, by the SHA-256 of their bytes, shared by all jobs.
// Whether the caller may read a program is checked before its bytes come here.
#pragma once

#include <cstdint>
#include <list>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <unordered_map>

#include "middleware/node/runner.h"

namespace zerocloud::node {

struct Program {
  std::shared_ptr<const loader::Image> image;
  std::string sha256;  // of its bytes, hexadecimal
};

// Thread-safe.
class ImageCache {
 public:
  ImageCache(Runner& runner, std::size_t entries) : runner_(runner), entries_(entries) {}

  // Reads `size` bytes of `fd` from its start. kRejectedCode if they are no guest program.
  Result<Program> Load(int fd, std::uint64_t size);
  // One that was verified before, by its digest. A fake runner's image may be null.
  std::optional<Program> Find(const std::string& sha256);

 private:
  using Entry = std::pair<std::string, std::shared_ptr<const loader::Image>>;

  Runner& runner_;
  std::size_t entries_;
  std::mutex mutex_;
  std::list<Entry> order_;  // last used first
  std::unordered_map<std::string, std::list<Entry>::iterator> by_digest_;
};

}  // namespace zerocloud::node
