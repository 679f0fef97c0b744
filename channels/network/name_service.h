// The name service of `tcp:<node>:` channels: sessions that run together tell a server over UDP at
// which ports they listen for whom, and learn where those listen whom they write to.
//
// Both a request and its answer are one datagram, all numbers big-endian: u32 own node, u32 number
// of binds, u32 number of connects, then the records, binds first: u32 and u16. A bind record says
// "I listen for that node at that port". A connect record is a node number and 0 in the request; in
// the answer the IPv4 address and port where that node listens for the asker. Source: ZeroVM's name
// service.
//
// Nothing is authenticated: run the server only where everyone who can reach it may know.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <vector>

#include "channels/base/result.h"
#include "channels/base/unique_fd.h"
#include "channels/network/socket.h"

namespace zerocloud::network {

inline constexpr std::size_t kMaxParcelSize = 65507;  // of a UDP datagram over IPv4

struct NameRecord {
  std::uint32_t host = 0;  // node number, or an address in an answer
  std::uint16_t port = 0;
  friend bool operator==(const NameRecord&, const NameRecord&) = default;
};

struct NameParcel {
  std::uint32_t node = 0;
  std::vector<NameRecord> binds, connects;
  friend bool operator==(const NameParcel&, const NameParcel&) = default;
};

// REQUIRES: as many records as a datagram holds.
std::vector<std::byte> EncodeParcel(const NameParcel& parcel);
// kInvalid for anything but one whole parcel.
Result<NameParcel> ParseParcel(std::span<const std::byte> bytes);

// Asks over `socket` (ConnectDatagram) three times, 1.2 s each, for the connects of `request`,
// which come back in its order. kUnavailable if nobody answers, or the answer lacks one of them.
Result<std::vector<NameRecord>> AskNameServer(int socket, const NameParcel& request,
                                              const Patience& patience);

// What a server knows. Records of a node replace what it said before, so asking again is harmless.
class NameTable {
 public:
  void Add(const NameParcel& request, std::uint32_t ip);
  // The k-th connect of a node to another meets the k-th bind of that one for it; (0, 0) where
  // there is none.
  [[nodiscard]] NameParcel AnswerFor(const NameParcel& request) const;

 private:
  struct Node {
    std::uint32_t ip;
    std::vector<NameRecord> binds;
  };
  std::map<std::uint32_t, Node> nodes_;
};

// Answers everyone once `peers` nodes have asked, and those who ask again for `linger` longer.
// kTimeout if they do not all come before the deadline. `socket` is a bound UDP socket.
Result<void> ServeNames(int socket, std::size_t peers, std::chrono::milliseconds linger,
                        const Patience& patience);
// A socket for ServeNames(); `port` 0 becomes what was taken.
Result<UniqueFd> BindDatagram(std::uint32_t ip, std::uint16_t& port);

}  // namespace zerocloud::network
