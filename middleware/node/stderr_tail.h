// The end of what a session wrote to stderr. Private to this folder.
#pragma once

#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdint>
#include <string>
#include <string_view>

namespace zerocloud::node {

// Reads what is there, without waiting. False at the end of the stream.
template <typename Consume>
bool ReadAvailable(int fd, Consume consume) {
  std::array<char, 65536> buffer;  // NOLINT(cppcoreguidelines-pro-type-member-init)
  for (int i = 0; i < 16; ++i) {
    const ssize_t got = ::read(fd, buffer.data(), buffer.size());
    if (got > 0) {
      consume(std::string_view(buffer.data(), static_cast<std::size_t>(got)));
    } else if (got == 0 || (errno != EAGAIN && errno != EINTR)) {
      return false;
    } else if (errno == EAGAIN) {
      return true;
    }
  }
  return true;
}

inline void KeepTail(std::string& tail, std::string_view text, std::size_t limit) {
  tail += text;
  // Cut now and then, not for every byte.
  if (tail.size() > 2 * limit) tail.erase(0, tail.size() - limit);
}

inline std::string ReadTail(int fd, std::uint64_t size, std::uint64_t limit) {
  const std::uint64_t length = std::min(size, limit);
  std::string tail(length, '\0');
  const ssize_t got = ::pread(fd, tail.data(), tail.size(), static_cast<off_t>(size - length));
  tail.resize(got > 0 ? static_cast<std::size_t>(got) : 0);
  return tail;
}

}  // namespace zerocloud::node
