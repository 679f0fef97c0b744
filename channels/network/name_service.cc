#include "channels/network/name_service.h"

#include <arpa/inet.h>
#include <fmt/format.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <utility>

namespace zerocloud::network {
namespace {

using std::chrono::milliseconds;
using std::chrono::steady_clock;

constexpr std::size_t kParcelHeaderSize = 12;
constexpr std::size_t kRecordSize = 6;
constexpr std::size_t kMaxRecords = (kMaxParcelSize - kParcelHeaderSize) / kRecordSize;
constexpr int kTries = 3;
constexpr milliseconds kTryTime{1200};

void Put(std::uint32_t value, int bytes, std::vector<std::byte>& out) {
  for (int shift = 8 * (bytes - 1); shift >= 0; shift -= 8) {
    out.push_back(static_cast<std::byte>(value >> shift));
  }
}

std::uint32_t Take(std::span<const std::byte>& from, std::size_t bytes) {
  std::uint32_t value = 0;
  for (const std::byte byte : from.first(bytes)) {
    value = value << 8 | std::to_integer<std::uint32_t>(byte);
  }
  from = from.subspan(bytes);
  return value;
}

}  // namespace

std::vector<std::byte> EncodeParcel(const NameParcel& parcel) {
  std::vector<std::byte> out;
  Put(parcel.node, 4, out);
  Put(static_cast<std::uint32_t>(parcel.binds.size()), 4, out);
  Put(static_cast<std::uint32_t>(parcel.connects.size()), 4, out);
  for (const auto* records : {&parcel.binds, &parcel.connects}) {
    for (const NameRecord& record : *records) {
      Put(record.host, 4, out);
      Put(record.port, 2, out);
    }
  }
  return out;
}

Result<NameParcel> ParseParcel(std::span<const std::byte> bytes) {
  if (bytes.size() < kParcelHeaderSize || bytes.size() > kMaxParcelSize) {
    return Fail(ErrorCode::kInvalid,
                fmt::format("a name service parcel has {} bytes, not from {} to {}", bytes.size(),
                            kParcelHeaderSize, kMaxParcelSize));
  }
  NameParcel parcel;
  parcel.node = Take(bytes, 4);
  const std::size_t binds = Take(bytes, 4);
  const std::size_t connects = Take(bytes, 4);
  if (binds > kMaxRecords || connects > kMaxRecords ||
      bytes.size() != (binds + connects) * kRecordSize) {
    return Fail(ErrorCode::kInvalid,
                fmt::format("a name service parcel says {} binds and {} connects, and has {} bytes "
                            "of records",
                            binds, connects, bytes.size()));
  }
  const auto take = [&bytes](std::size_t count, std::vector<NameRecord>& records) {
    for (std::size_t i = 0; i < count; ++i) {
      const std::uint32_t host = Take(bytes, 4);
      records.push_back({host, static_cast<std::uint16_t>(Take(bytes, 2))});
    }
  };
  take(binds, parcel.binds);
  take(connects, parcel.connects);
  return parcel;
}

Result<std::vector<NameRecord>> AskNameServer(int socket, const NameParcel& request,
                                              const Patience& patience) {
  const std::vector<std::byte> bytes = EncodeParcel(request);
  if (bytes.size() > kMaxParcelSize) {
    return Fail(ErrorCode::kLimitExceeded,
                fmt::format("{} network channels do not fit one request to the name server",
                            request.binds.size() + request.connects.size()));
  }
  std::vector<std::byte> buffer(kMaxParcelSize);
  for (int i = 0; i < kTries; ++i) {
    // Nobody at that port shows as an error of this or the next call: as good as silence.
    ::send(socket, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    Patience one_try = patience;
    one_try.deadline = std::min(patience.deadline, steady_clock::now() + kTryTime);
    while (true) {
      const auto got = ReceiveSome(socket, buffer, one_try);
      if (!got && got.error().code == ErrorCode::kTimeout) break;
      if (!got && got.error().code == ErrorCode::kCancelled) return Fail(got);
      if (!got) {  // refused: the server may be starting, so this try lasts as long as any
        if (steady_clock::now() >= one_try.deadline) break;
        continue;
      }
      auto answer = ParseParcel(std::span(buffer).first(*got));
      if (!answer || answer->node != request.node ||
          answer->connects.size() != request.connects.size()) {
        continue;
      }
      for (std::size_t k = 0; k < answer->connects.size(); ++k) {
        if (answer->connects[k].host != 0 && answer->connects[k].port != 0) continue;
        return Fail(ErrorCode::kUnavailable,
                    fmt::format("the name server does not know where node {} listens for node {}",
                                request.connects[k].host, request.node));
      }
      return std::move(answer->connects);
    }
  }
  return Fail(
      steady_clock::now() >= patience.deadline ? ErrorCode::kTimeout : ErrorCode::kUnavailable,
      "the name server does not answer");
}

void NameTable::Add(const NameParcel& request, std::uint32_t ip) {
  nodes_[request.node] = {ip, request.binds};
}

NameParcel NameTable::AnswerFor(const NameParcel& request) const {
  NameParcel answer = request;
  std::map<std::uint32_t, std::size_t> used;  // connects to a node so far
  for (NameRecord& connect : answer.connects) {
    std::size_t nth = used[connect.host]++;
    const auto peer = nodes_.find(connect.host);
    connect = {};
    if (peer == nodes_.end()) continue;
    for (const NameRecord& bind : peer->second.binds) {
      if (bind.host != request.node || nth-- > 0) continue;
      connect = {peer->second.ip, bind.port};
      break;
    }
  }
  return answer;
}

Result<UniqueFd> BindDatagram(std::uint32_t ip, std::uint16_t& port) {
  UniqueFd socket(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(ip);
  address.sin_port = htons(port);
  socklen_t size = sizeof address;
  auto* const generic = reinterpret_cast<sockaddr*>(&address);
  if (!socket.is_open() || ::bind(socket.get(), generic, size) != 0 ||
      ::getsockname(socket.get(), generic, &size) != 0) {
    return FailErrno(fmt::format("cannot bind UDP {}:{}", IpText(ip), port));
  }
  port = ntohs(address.sin_port);
  return socket;
}

Result<void> ServeNames(int socket, std::size_t peers, milliseconds linger,
                        const Patience& patience) {
  struct Asker {
    sockaddr_in address;
    NameParcel request;
  };
  NameTable table;
  std::map<std::uint32_t, Asker> askers;
  std::vector<std::byte> buffer(kMaxParcelSize);
  const auto answer = [&](const Asker& asker) {
    const auto bytes = EncodeParcel(table.AnswerFor(asker.request));
    ::sendto(socket, bytes.data(), bytes.size(), MSG_NOSIGNAL,
             reinterpret_cast<const sockaddr*>(&asker.address), sizeof asker.address);
  };
  Patience rest = patience;
  bool is_complete = false;
  while (true) {
    sockaddr_in from{};
    socklen_t size = sizeof from;
    const ssize_t got = ::recvfrom(socket, buffer.data(), buffer.size(), 0,
                                   reinterpret_cast<sockaddr*>(&from), &size);
    if (got < 0) {
      const auto ready = WaitFor(socket, POLLIN, rest);
      if (ready) continue;
      if (is_complete && ready.error().code == ErrorCode::kTimeout) return {};
      return Fail(ready);
    }
    auto request = ParseParcel(std::span(buffer).first(static_cast<std::size_t>(got)));
    // Once everyone is there, nobody else may come: what was answered must stay true.
    if (!request || (is_complete && !askers.contains(request->node))) continue;
    table.Add(*request, ntohl(from.sin_addr.s_addr));
    Asker& asker = askers[request->node] = {from, std::move(*request)};
    if (is_complete) {
      answer(asker);
    } else if (askers.size() >= peers) {
      is_complete = true;
      rest.deadline = std::min(patience.deadline, steady_clock::now() + linger);
      for (const auto& [node, each] : askers) answer(each);
    }
  }
}

}  // namespace zerocloud::network
