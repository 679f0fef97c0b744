// A port of 127.0.0.1 at which connecting takes for ever, as it does to a host that is down.
#pragma once

#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <array>
#include <cstdint>

#include "channels/base/unique_fd.h"

namespace zerocloud::server {

class DeafListener {
 public:
  // Nobody accepts, and the system drops what is said to a listener whose queue is full.
  DeafListener() : listener_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof(address);
    void* where = &address;
    EXPECT_EQ(::bind(listener_.get(), static_cast<sockaddr*>(where), size), 0);
    EXPECT_EQ(::listen(listener_.get(), 0), 0);
    EXPECT_EQ(::getsockname(listener_.get(), static_cast<sockaddr*>(where), &size), 0);
    port_ = ntohs(address.sin_port);
    for (UniqueFd& one : queue_) {
      one.Reset(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
      EXPECT_NE(::connect(one.get(), static_cast<sockaddr*>(where), size), 0);  // not yet, or never
    }
  }

  [[nodiscard]] std::uint16_t port() const { return port_; }

 private:
  UniqueFd listener_;
  std::uint16_t port_ = 0;
  std::array<UniqueFd, 3> queue_;
};

}  // namespace zerocloud::server
