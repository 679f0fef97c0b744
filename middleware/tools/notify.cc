#include "middleware/tools/notify.h"

#include <sys/socket.h>
#include <sys/un.h>

#include <algorithm>
#include <cstddef>
#include <cstdlib>
#include <string>

#include "channels/base/unique_fd.h"

namespace zerocloud::tools {

void Notify(std::string_view state) {
  const char* const name = std::getenv("NOTIFY_SOCKET");  // NOLINT(concurrency-mt-unsafe)
  const std::string_view path = name == nullptr ? "" : name;
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  const bool is_name = path.starts_with('/') || path.starts_with('@');
  if (!is_name || path.size() >= sizeof address.sun_path) return;
  std::ranges::copy(path, static_cast<char*>(address.sun_path));
  if (path.front() == '@') address.sun_path[0] = '\0';  // an abstract one
  const UniqueFd socket(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  if (!socket.is_open()) return;
  const void* to = &address;
  [[maybe_unused]] const ssize_t sent = ::sendto(
      socket.get(), state.data(), state.size(), MSG_NOSIGNAL, static_cast<const sockaddr*>(to),
      static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + path.size()));
}

}  // namespace zerocloud::tools
