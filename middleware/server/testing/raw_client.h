// RawClient: the other end of a server's connection, for tests that care about every byte.
// Blocking, with a deadline on each read so that a silent server fails a test instead of hanging
// it.
#pragma once

#include <linux/sockios.h>
#include <netinet/in.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstdint>
#include <cstdlib>
#include <optional>
#include <string>
#include <string_view>
#include <thread>
#include <utility>

#include "channels/base/unique_fd.h"
#include "middleware/http/message.h"

namespace zerocloud::server {

struct RawResponse {
  int status = 0;
  std::string head;  // with the status line and the final empty line
  http::Headers headers;
  std::string body;
};

class RawClient {
 public:
  explicit RawClient(UniqueFd fd) : fd_(std::move(fd)) {
    if (!fd_.is_open()) return;
    const timeval deadline{.tv_sec = 20, .tv_usec = 0};
    ::setsockopt(fd_.get(), SOL_SOCKET, SO_RCVTIMEO, &deadline, sizeof(deadline));
    ::setsockopt(fd_.get(), SOL_SOCKET, SO_SNDTIMEO, &deadline, sizeof(deadline));
  }

  // A client of whatever listens on 127.0.0.1:port.
  static RawClient Connect(std::uint16_t port) {
    UniqueFd fd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    sockaddr_storage storage{};
    __builtin_memcpy(&storage, &address, sizeof(address));
    const void* where = &storage;
    if (::connect(fd.get(), static_cast<const sockaddr*>(where), sizeof(address)) != 0) fd.Reset();
    return RawClient(std::move(fd));
  }

  [[nodiscard]] bool is_open() const { return fd_.is_open(); }

  // False: the peer takes no more.
  bool Send(std::string_view bytes) {
    while (!bytes.empty()) {
      const ssize_t count = ::send(fd_.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
      if (count <= 0) return false;
      bytes.remove_prefix(static_cast<std::size_t>(count));
    }
    return true;
  }

  // Until the peer's system has said that it has all that was sent, but at most for 20 seconds.
  void AwaitAcknowledgement() const {
    int unacknowledged = 1;
    for (int i = 0; i < 20'000 && unacknowledged > 0; ++i) {
      if (::ioctl(fd_.get(), SIOCOUTQ, &unacknowledged) != 0) return;
      if (unacknowledged > 0) std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
  }

  // At least one more byte into the buffer; false at the end or past the deadline.
  bool Fill() {
    char piece[16384];
    const ssize_t count = ::recv(fd_.get(), piece, sizeof(piece), 0);
    has_ended_ = count == 0 || (count < 0 && errno == ECONNRESET);
    if (count <= 0) return false;
    buffer_.append(piece, static_cast<std::size_t>(count));
    return true;
  }

  // Everything up to the end of the connection.
  std::string ReadAll() {
    while (Fill()) {
    }
    return std::exchange(buffer_, {});
  }

  // Whether the last Fill found the end, and not that nothing came in time.
  [[nodiscard]] bool has_ended() const { return has_ended_; }

  // From now on sends give up soon when the peer takes nothing.
  void DoNotWaitLong() {
    const timeval deadline{.tv_sec = 0, .tv_usec = 200'000};
    ::setsockopt(fd_.get(), SOL_SOCKET, SO_SNDTIMEO, &deadline, sizeof(deadline));
  }

  // Whether these bytes are among those received and not taken yet.
  [[nodiscard]] bool Has(std::string_view bytes) const {
    return buffer_.find(bytes) != std::string::npos;
  }

  // What has been received and not been taken yet.
  std::string Buffered() { return std::exchange(buffer_, {}); }

  bool IsClosedByPeer() { return buffer_.empty() && !Fill(); }

  // One response. `is_head`: of a HEAD request. A body cut short leaves nullopt.
  std::optional<RawResponse> Read(bool is_head = false) {
    std::size_t end = 0;
    while ((end = buffer_.find("\r\n\r\n")) == std::string::npos) {
      if (!Fill()) return std::nullopt;
    }
    RawResponse response;
    response.head = buffer_.substr(0, end + 4);
    buffer_.erase(0, end + 4);
    ParseHead(response);
    const bool is_bodyless =
        is_head || response.status < 200 || response.status == 204 || response.status == 304;
    if (is_bodyless) return response;
    if (response.headers.Has("Transfer-Encoding")) return ReadChunks(std::move(response));
    const auto length = response.headers.Get("Content-Length");
    if (!length.has_value()) {
      response.body = ReadAll();
      return response;
    }
    auto body = Take(std::strtoull(std::string(*length).c_str(), nullptr, 10));
    if (!body.has_value()) return std::nullopt;
    response.body = std::move(*body);
    return response;
  }

  std::optional<std::string> ReadChunkedBody() {
    const auto response = ReadChunks({});
    return response.has_value() ? std::optional(response->body) : std::nullopt;
  }

  // The same for tests that look at the response at once: one that did not come has status 0.
  RawResponse ReadOrEmpty(bool is_head = false) { return Read(is_head).value_or(RawResponse{}); }

  // Exactly so many bytes.
  std::optional<std::string> Take(std::size_t count) {
    while (buffer_.size() < count) {
      if (!Fill()) return std::nullopt;
    }
    std::string taken = buffer_.substr(0, count);
    buffer_.erase(0, count);
    return taken;
  }

  void Close() { fd_.Reset(); }

 private:
  static void ParseHead(RawResponse& response) {
    std::string_view rest = response.head;
    response.status = std::atoi(std::string(rest.substr(9, 3)).c_str());
    rest.remove_prefix(rest.find("\r\n") + 2);
    while (rest != "\r\n" && !rest.empty()) {
      const std::string_view line = rest.substr(0, rest.find("\r\n"));
      const std::size_t colon = line.find(':');
      if (colon != std::string_view::npos) {
        response.headers.Add(line.substr(0, colon), line.substr(colon + 2));
      }
      rest.remove_prefix(line.size() + 2);
    }
  }

  std::optional<RawResponse> ReadChunks(RawResponse response) {
    for (;;) {
      std::size_t end = 0;
      while ((end = buffer_.find("\r\n")) == std::string::npos) {
        if (!Fill()) return std::nullopt;
      }
      const std::size_t size = std::strtoull(buffer_.c_str(), nullptr, 16);
      buffer_.erase(0, end + 2);
      auto chunk = Take(size + 2);
      if (!chunk.has_value()) return std::nullopt;
      if (size == 0) return response;
      response.body.append(*chunk, 0, size);
    }
  }

  UniqueFd fd_;
  std::string buffer_;
  bool has_ended_ = false;
};

}  // namespace zerocloud::server
