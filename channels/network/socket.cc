#include "channels/network/socket.h"

#include <arpa/inet.h>
#include <fmt/format.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <climits>
#include <cstring>

namespace zerocloud::network {
namespace {

using std::chrono::steady_clock;

constexpr int kBacklog = 16;

sockaddr_in Address(std::uint32_t ip, std::uint16_t port) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(ip);
  address.sin_port = htons(port);
  return address;
}

// What the socket interface takes for any address.
const sockaddr* AsGeneric(const sockaddr_in& address) {
  return reinterpret_cast<const sockaddr*>(&address);
}

Result<sockaddr_in> OwnAddress(int socket) {
  sockaddr_in address{};
  socklen_t size = sizeof address;
  if (::getsockname(socket, reinterpret_cast<sockaddr*>(&address), &size) != 0) {
    return FailErrno("cannot tell a socket's address");
  }
  return address;
}

bool IsTransient(int host_errno) {
  return host_errno == EAGAIN || host_errno == EWOULDBLOCK || host_errno == EINTR;
}

Result<void> WaitForAll(std::span<pollfd> fds, const Patience& patience) {
  while (true) {
    const auto left =
        std::chrono::ceil<std::chrono::milliseconds>(patience.deadline - steady_clock::now());
    const auto bounded = std::clamp<std::int64_t>(left.count(), 0, INT_MAX);
    const int ready = ::poll(fds.data(), fds.size(), static_cast<int>(bounded));
    if (ready < 0 && errno != EINTR) return FailErrno("cannot wait for a socket");
    if (ready > 0) {
      if (fds.back().fd >= 0 && fds.back().revents != 0) {
        return Fail(ErrorCode::kCancelled, "stopped");
      }
      return {};
    }
    if (steady_clock::now() >= patience.deadline) {
      return Fail(ErrorCode::kTimeout, "the timeout has passed");
    }
  }
}

}  // namespace

Result<short> WaitFor(int fd, short events, const Patience& patience) {
  pollfd fds[] = {{.fd = fd, .events = events, .revents = 0},
                  {.fd = patience.stop_event, .events = POLLIN, .revents = 0}};
  if (auto waited = WaitForAll(fds, patience); !waited) return Fail(waited);
  return fds[0].revents;
}

Result<void> WaitForEither(int fd, short events, int other, short other_events,
                           const Patience& patience, short& first, short& second) {
  pollfd fds[] = {{.fd = fd, .events = events, .revents = 0},
                  {.fd = other, .events = other_events, .revents = 0},
                  {.fd = patience.stop_event, .events = POLLIN, .revents = 0}};
  auto waited = WaitForAll(fds, patience);
  first = fds[0].revents;
  second = fds[1].revents;
  return waited;
}

Result<std::size_t> ReceiveSome(int socket, std::span<std::byte> to, const Patience& patience) {
  while (true) {
    const ssize_t got = ::recv(socket, to.data(), to.size(), 0);
    if (got >= 0) return static_cast<std::size_t>(got);
    if (!IsTransient(errno)) return FailErrno("cannot receive");
    if (auto waited = WaitFor(socket, POLLIN, patience); !waited) return Fail(waited);
  }
}

Result<void> ReceiveAll(int socket, std::span<std::byte> to, const Patience& patience) {
  while (!to.empty()) {
    const auto got = ReceiveSome(socket, to, patience);
    if (!got) return Fail(got);
    if (*got == 0) return Fail(ErrorCode::kUnavailable, "the other side closed the connection");
    to = to.subspan(*got);
  }
  return {};
}

Result<void> SendAll(int socket, std::span<const std::byte> bytes, const Patience& patience) {
  while (!bytes.empty()) {
    const ssize_t sent = ::send(socket, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (sent >= 0) {
      bytes = bytes.subspan(static_cast<std::size_t>(sent));
      continue;
    }
    if (!IsTransient(errno)) return FailErrno("cannot send");
    if (auto waited = WaitFor(socket, POLLOUT, patience); !waited) return Fail(waited);
  }
  return {};
}

Result<UniqueFd> Listen(std::uint32_t ip, std::uint16_t& port) {
  UniqueFd socket(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!socket.is_open()) return FailErrno("cannot make a socket");
  // A port whose last connection has just ended is free again.
  const int on = 1;
  ::setsockopt(socket.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  const sockaddr_in address = Address(ip, port);
  if (::bind(socket.get(), AsGeneric(address), sizeof address) != 0 ||
      ::listen(socket.get(), kBacklog) != 0) {
    return FailErrno(fmt::format("cannot listen at {}:{}", IpText(ip), port));
  }
  const auto own = OwnAddress(socket.get());
  if (!own) return Fail(own);
  port = ntohs(own->sin_port);
  return socket;
}

Result<UniqueFd> Accept(int listener, const Patience& patience) {
  while (true) {
    UniqueFd socket(::accept4(listener, nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
    if (socket.is_open()) return socket;
    if (errno == ECONNABORTED) continue;
    if (!IsTransient(errno)) return FailErrno("cannot accept a connection");
    if (auto waited = WaitFor(listener, POLLIN, patience); !waited) return Fail(waited);
  }
}

Result<UniqueFd> Connect(std::uint32_t ip, std::uint16_t port, const Patience& patience) {
  UniqueFd socket(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!socket.is_open()) return FailErrno("cannot make a socket");
  const int on = 1;
  ::setsockopt(socket.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  const sockaddr_in address = Address(ip, port);
  const std::string what = fmt::format("cannot connect to {}:{}", IpText(ip), port);
  if (::connect(socket.get(), AsGeneric(address), sizeof address) != 0) {
    if (errno != EINPROGRESS && errno != EINTR) {
      return Fail(ErrorCode::kUnavailable, ErrnoError(what, errno).message);
    }
    if (auto waited = WaitFor(socket.get(), POLLOUT, patience); !waited) return Fail(waited);
    int host_errno = 0;
    socklen_t size = sizeof host_errno;
    ::getsockopt(socket.get(), SOL_SOCKET, SO_ERROR, &host_errno, &size);
    if (host_errno != 0) {
      return Fail(ErrorCode::kUnavailable, ErrnoError(what, host_errno).message);
    }
  }
  // Where nobody listens yet on this host, a connection can find itself.
  const auto own = OwnAddress(socket.get());
  if (!own) return Fail(own);
  if (own->sin_port == address.sin_port && own->sin_addr.s_addr == address.sin_addr.s_addr) {
    return Fail(ErrorCode::kUnavailable, what + ": nobody listens there");
  }
  return socket;
}

Result<UniqueFd> ConnectDatagram(std::uint32_t ip, std::uint16_t port) {
  UniqueFd socket(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!socket.is_open()) return FailErrno("cannot make a socket");
  const sockaddr_in address = Address(ip, port);
  if (::connect(socket.get(), AsGeneric(address), sizeof address) != 0) {
    return FailErrno(fmt::format("cannot reach {}:{}", IpText(ip), port));
  }
  return socket;
}

Result<std::uint32_t> OwnIp(int socket) {
  const auto own = OwnAddress(socket);
  if (!own) return Fail(own);
  return ntohl(own->sin_addr.s_addr);
}

std::string IpText(std::uint32_t ip) {
  return fmt::format("{}.{}.{}.{}", ip >> 24, ip >> 16 & 255, ip >> 8 & 255, ip & 255);
}

}  // namespace zerocloud::network
