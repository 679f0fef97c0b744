// A port of 127.0.0.1 at which connecting takes for ever, as it does to a host that is down.
#pragma once

#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <array>
#include <cstdint>

#include "channels/base/unique_fd.h"
#include "middleware/server/testing/listening.h"

namespace zerocloud::server {

class DeafListener {
 public:
  // Nobody accepts, and the system drops what is said to a listener whose queue is full.
  DeafListener() : listener_(ListenOnLoopback(0)) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(listener_.port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    const void* where = &address;
    for (UniqueFd& one : queue_) {
      one.Reset(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
      EXPECT_NE(::connect(one.get(), static_cast<const sockaddr*>(where), sizeof(address)),
                0);  // not yet, or never
    }
  }

  [[nodiscard]] std::uint16_t port() const { return listener_.port; }

 private:
  Listening listener_;
  std::array<UniqueFd, 3> queue_;
};

}  // namespace zerocloud::server
