// http_origin: the least that can stand behind a proxy. Prints its port on 127.0.0.1, then answers
// GET /N with N bytes from memory, and reads PUTs away with 201. One thread; serves until it is
// killed. For trusted clients: requests with a length, and nothing pipelined.
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <cstdint>
#include <cstdio>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "channels/base/unique_fd.h"

namespace {

using zerocloud::UniqueFd;

std::uint64_t Number(std::string_view text) {
  std::uint64_t number = 0;
  std::from_chars(text.data(), text.data() + text.size(), number);
  return number;
}

class Connection {
 public:
  explicit Connection(UniqueFd socket)
      : socket_(std::move(socket)), body_(std::size_t{256} * 1024, 'x') {}

  // Does what it can without waiting. False: it has ended.
  bool Go() {
    for (;;) {
      if (!Send()) return errno == EAGAIN;
      if (!Receive()) return errno == EAGAIN;
    }
  }
  [[nodiscard]] bool is_sending() const { return !head_out_.empty() || to_send_ > 0; }

 private:
  // False: no room now, or none ever (errno).
  bool Send() {
    while (is_sending()) {
      const bool is_head = !head_out_.empty();
      const char* from = is_head ? head_out_.data() : body_.data();
      const std::size_t size =
          is_head ? head_out_.size() : std::min<std::uint64_t>(to_send_, body_.size());
      const int flags = MSG_DONTWAIT | MSG_NOSIGNAL | (is_head && to_send_ > 0 ? MSG_MORE : 0);
      const ssize_t count = ::send(socket_.get(), from, size, flags);
      if (count < 0) return false;
      if (is_head) {
        head_out_.erase(0, static_cast<std::size_t>(count));
      } else {
        to_send_ -= static_cast<std::uint64_t>(count);
      }
    }
    return true;
  }

  // Until a request is whole. False: nothing to read now, or never again (errno).
  bool Receive() {
    std::array<char, 16384> buffer{};
    while (to_receive_ > 0 || !is_receiving_) {
      const ssize_t count =
          is_receiving_
              ? ::recv(socket_.get(), nullptr, std::min<std::uint64_t>(to_receive_, 1 << 20),
                       MSG_DONTWAIT | MSG_TRUNC)
              : ::recv(socket_.get(), buffer.data(), buffer.size(), MSG_DONTWAIT);
      if (count == 0) errno = 0;
      if (count <= 0) return false;
      if (is_receiving_) {
        to_receive_ -= static_cast<std::uint64_t>(count);
      } else {
        TakeHead({buffer.data(), static_cast<std::size_t>(count)});
      }
    }
    is_receiving_ = false;
    const bool is_put = head_.starts_with("PUT ");
    to_send_ = is_put ? 0 : Number(std::string_view(head_).substr(head_.find('/') + 1));
    head_out_ = std::string("HTTP/1.1 ") + (is_put ? "201 Created" : "200 OK") +
                "\r\nContent-Length: " + std::to_string(to_send_) + "\r\n\r\n";
    head_.clear();
    return true;
  }

  void TakeHead(std::string_view bytes) {
    head_ += bytes;
    const std::size_t end = head_.find("\r\n\r\n");
    if (end == std::string::npos) return;
    is_receiving_ = true;
    constexpr std::string_view kLength = "\r\nContent-Length: ";
    const std::size_t at = head_.find(kLength);
    to_receive_ = at < end ? Number(std::string_view(head_).substr(at + kLength.size())) : 0;
    to_receive_ -= std::min<std::uint64_t>(to_receive_, head_.size() - end - 4);
  }

  UniqueFd socket_;
  std::vector<char> body_;
  std::string head_;
  bool is_receiving_ = false;
  std::uint64_t to_receive_ = 0;
  std::string head_out_;
  std::uint64_t to_send_ = 0;
};

UniqueFd Listen() {
  UniqueFd listening(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof(address);
  void* where = &address;
  const bool is_listening =
      ::bind(listening.get(), static_cast<sockaddr*>(where), size) == 0 &&
      ::listen(listening.get(), 1024) == 0 &&
      ::getsockname(listening.get(), static_cast<sockaddr*>(where), &size) == 0;
  if (!is_listening) return UniqueFd();
  std::printf("%d\n", ntohs(address.sin_port));
  std::fflush(stdout);
  return listening;
}

void Watch(int epoll, int fd, bool is_sending, int operation) {
  epoll_event event{};
  event.events = EPOLLIN | (is_sending ? EPOLLOUT : 0U);
  event.data.fd = fd;
  ::epoll_ctl(epoll, operation, fd, &event);
}

}  // namespace

int main() {
  const UniqueFd listening = Listen();
  const UniqueFd epoll(::epoll_create1(EPOLL_CLOEXEC));
  if (!listening.is_open() || !epoll.is_open()) return 1;
  Watch(epoll.get(), listening.get(), false, EPOLL_CTL_ADD);
  std::unordered_map<int, std::unique_ptr<Connection>> connections;
  std::array<epoll_event, 256> events{};
  for (;;) {
    const int count = ::epoll_wait(epoll.get(), events.data(), events.size(), -1);
    for (int i = 0; i < count; ++i) {
      const int fd = events[static_cast<std::size_t>(i)].data.fd;
      if (fd == listening.get()) {
        UniqueFd peer(::accept4(fd, nullptr, nullptr, SOCK_CLOEXEC));
        if (!peer.is_open()) continue;
        const int yes = 1;
        ::setsockopt(peer.get(), IPPROTO_TCP, TCP_NODELAY, &yes, sizeof(yes));
        const int number = peer.get();
        Watch(epoll.get(), number, false, EPOLL_CTL_ADD);
        connections[number] = std::make_unique<Connection>(std::move(peer));
        continue;
      }
      Connection& connection = *connections[fd];
      const bool was_sending = connection.is_sending();
      if (!connection.Go()) {
        connections.erase(fd);
      } else if (was_sending != connection.is_sending()) {
        Watch(epoll.get(), fd, connection.is_sending(), EPOLL_CTL_MOD);
      }
    }
  }
}
