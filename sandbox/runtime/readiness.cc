#include "sandbox/runtime/readiness.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <system_error>
#include <utility>

#include "sandbox/include/zvm.h"

namespace zerocloud::runtime {
namespace {

bool ReceiveAll(int socket, void* to, std::size_t size) {
  auto* at = static_cast<char*>(to);
  while (size > 0) {
    const ssize_t count = ::recv(socket, at, size, 0);
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) return false;
    at += count;
    size -= static_cast<std::size_t>(count);
  }
  return true;
}

bool SendAll(int socket, const void* from, std::size_t size) {
  const auto* at = static_cast<const char*>(from);
  while (size > 0) {
    const ssize_t count = ::send(socket, at, size, MSG_NOSIGNAL);
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) return false;
    at += count;
    size -= static_cast<std::size_t>(count);
  }
  return true;
}

// As zvm.h says it.
std::int64_t Available(const pollfd& polled) {
  if ((polled.revents & POLLIN) != 0) {
    int bytes = 0;
    if (::ioctl(polled.fd, FIONREAD, &bytes) != 0) return 1;  // a device that does not count
    return bytes > 0 ? bytes : -1;
  }
  return polled.revents != 0 ? -1 : 0;
}

}  // namespace

Readiness::Readiness(UniqueFd host_end, std::vector<UniqueFd> channels)
    : host_end_(std::move(host_end)), channels_(std::move(channels)) {}

Result<std::unique_ptr<Readiness>> Readiness::Start(const std::vector<int>& channels,
                                                    UniqueFd& guest_end) {
  int ends[2];
  if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0) {
    return FailErrno("cannot make a readiness channel");
  }
  UniqueFd host_end(ends[0]);
  guest_end.Reset(ends[1]);
  std::vector<UniqueFd> copies(channels.size());
  for (std::size_t i = 0; i < channels.size(); ++i) {
    if (channels[i] < 0) continue;
    copies[i].Reset(::fcntl(channels[i], F_DUPFD_CLOEXEC, 0));
    if (!copies[i].is_open()) return FailErrno("cannot watch a channel");
  }
  std::unique_ptr<Readiness> readiness(new Readiness(std::move(host_end), std::move(copies)));
  try {
    readiness->thread_ = std::thread([self = readiness.get()] { self->Serve(); });
  } catch (const std::system_error&) {
    return Fail(ErrorCode::kUnavailable, "cannot start a thread for a readiness channel");
  }
  return readiness;
}

Readiness::~Readiness() {
  ::shutdown(host_end_.get(), SHUT_RDWR);
  if (thread_.joinable()) thread_.join();
}

void Readiness::Serve() {
  while (ServeOne()) {
  }
  ::shutdown(host_end_.get(), SHUT_RDWR);  // the guest reads the end
}

bool Readiness::ServeOne() {
  ZVMReadinessQuery query{};
  if (!ReceiveAll(host_end_.get(), &query, sizeof query) || query.count == 0 ||
      query.count > ZVM_READINESS_MAX) {
    return false;
  }
  std::vector<std::int32_t> handles(query.count);
  if (!ReceiveAll(host_end_.get(), handles.data(), query.count * sizeof handles[0])) return false;

  std::vector<std::int64_t> answer(query.count);
  std::vector<pollfd> polled;
  polled.reserve(query.count + std::size_t{1});
  bool is_one_ready = query.wait == 0;
  for (std::size_t i = 0; i < query.count; ++i) {
    const auto handle = static_cast<std::uint32_t>(handles[i]);
    if (handle >= channels_.size()) return false;
    polled.push_back({channels_[handle].get(), POLLIN, 0});
    if (polled[i].fd < 0) is_one_ready = true;
  }
  polled.push_back({host_end_.get(), POLLRDHUP, 0});  // the session may end meanwhile
  while (::poll(polled.data(), polled.size(), is_one_ready ? 0 : -1) < 0) {
    if (errno != EINTR) return false;
  }
  for (std::size_t i = 0; i < query.count; ++i) {
    answer[i] = polled[i].fd < 0 ? INT64_MAX : Available(polled[i]);
  }
  return SendAll(host_end_.get(), answer.data(), answer.size() * sizeof answer[0]);
}

}  // namespace zerocloud::runtime
