// A socket that listens on a free port of 127.0.0.1.
#pragma once

#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <cstdint>

#include "channels/base/unique_fd.h"

namespace zerocloud::server {

struct Listening {
  UniqueFd socket;
  std::uint16_t port = 0;
};

// Connections to it are refused until somebody listens there.
inline Listening BindToLoopback() {
  Listening listening;
  listening.socket.Reset(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof(address);
  void* where = &address;
  const int fd = listening.socket.get();
  EXPECT_EQ(::bind(fd, static_cast<sockaddr*>(where), size), 0);
  EXPECT_EQ(::getsockname(fd, static_cast<sockaddr*>(where), &size), 0);
  listening.port = ntohs(address.sin_port);
  return listening;
}

inline Listening ListenOnLoopback(int backlog) {
  Listening listening = BindToLoopback();
  EXPECT_EQ(::listen(listening.socket.get(), backlog), 0);
  return listening;
}

}  // namespace zerocloud::server
