#include "middleware/node/image_cache.h"

#include <unistd.h>

#include <span>
#include <vector>

#include "middleware/digest/digest.h"

namespace zerocloud::node {

Result<Program> ImageCache::Load(int fd, std::uint64_t size) {
  std::vector<std::byte> bytes(size);
  for (std::size_t done = 0; done < bytes.size();) {
    const ssize_t got =
        ::pread(fd, bytes.data() + done, bytes.size() - done, static_cast<off_t>(done));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return FailErrno("cannot read the program");
    if (got == 0) return Fail(ErrorCode::kUnavailable, "the program was cut short as it was read");
    done += static_cast<std::size_t>(got);
  }
  digest::Sha256 sha256;
  sha256.Add(std::as_bytes(std::span(bytes)));
  std::string key = sha256.Hex();
  if (std::optional<Program> known = Find(key)) return std::move(*known);
  Result<std::shared_ptr<const loader::Image>> image = runner_.Load(bytes);
  if (!image) return Fail(image);
  const std::lock_guard lock(mutex_);
  if (!by_digest_.contains(key)) {
    order_.emplace_front(key, *image);
    by_digest_[key] = order_.begin();
    if (order_.size() > entries_) {
      by_digest_.erase(order_.back().first);
      order_.pop_back();
    }
  }
  return Program{std::move(*image), std::move(key)};
}

std::optional<Program> ImageCache::Find(const std::string& sha256) {
  const std::lock_guard lock(mutex_);
  const auto found = by_digest_.find(sha256);
  if (found == by_digest_.end()) return std::nullopt;
  order_.splice(order_.begin(), order_, found->second);
  return Program{found->second->second, sha256};
}

}  // namespace zerocloud::node
