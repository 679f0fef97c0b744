// Acknowledges at once what has come on a TCP socket.
//
// Who waits for the rest of a body has nothing to send with which an acknowledgement could travel,
// so the system delays it by 40 ms; and a sender that holds small packets back until all is
// acknowledged (Swift's servers do so with the last bytes of an object) waits as long. Linux
// forgets the wish with the next exchange: it is to be said before each wait. See tcp(7),
// TCP_QUICKACK.
#pragma once

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

namespace zerocloud::http {

// Without effect on what is no TCP socket.
inline void AckNow(int socket) {
  const int on = 1;
  ::setsockopt(socket, IPPROTO_TCP, TCP_QUICKACK, &on, sizeof on);
}

}  // namespace zerocloud::http
