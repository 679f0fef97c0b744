#include "middleware/operations/statsd.h"

#include <fmt/format.h>
#include <netdb.h>
#include <sys/socket.h>

#include <random>
#include <utility>

namespace zerocloud::operations {

Result<std::unique_ptr<Statsd>> Statsd::Open(const StatsdOptions& options) {
  addrinfo hints{};
  hints.ai_socktype = SOCK_DGRAM;
  addrinfo* found = nullptr;
  const int failure =
      ::getaddrinfo(options.host.c_str(), std::to_string(options.port).c_str(), &hints, &found);
  if (failure != 0) {
    return Fail(ErrorCode::kInvalid,
                fmt::format("statsd.host: \"{}\": {}.", options.host, ::gai_strerror(failure)));
  }
  const std::unique_ptr<addrinfo, decltype(&::freeaddrinfo)> list(found, &::freeaddrinfo);
  UniqueFd socket(
      ::socket(found->ai_family, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, found->ai_protocol));
  if (!socket.is_open() || ::connect(socket.get(), found->ai_addr, found->ai_addrlen) != 0) {
    return FailErrno("statsd.host: cannot send to " + options.host);
  }
  return std::unique_ptr<Statsd>(new Statsd(std::move(socket), options));
}

Statsd::Statsd(UniqueFd socket, const StatsdOptions& options)
    : socket_(std::move(socket)),
      prefix_((options.prefix.empty() ? "" : options.prefix + ".") + "zerocloud."),
      rate_(options.sample_percent >= 100
                ? ""
                : fmt::format("|@{}", static_cast<double>(options.sample_percent) / 100)),
      sample_percent_(options.sample_percent) {}

bool Statsd::IsSampled() const {
  if (sample_percent_ >= 100) return true;
  thread_local std::minstd_rand random{std::random_device{}()};
  return random() % 100 < sample_percent_;
}

void Statsd::Timing(std::string_view name, std::chrono::microseconds duration) const {
  Send(fmt::format("{}{}:{}|ms{}", prefix_, name, static_cast<double>(duration.count()) / 1000,
                   rate_));
}

void Statsd::Count(std::string_view name, std::uint64_t count) const {
  Send(fmt::format("{}{}:{}|c{}", prefix_, name, count, rate_));
}

void Statsd::Gauge(std::string_view name, std::uint64_t value) const {
  Send(fmt::format("{}{}:{}|g", prefix_, name, value));
}

void Statsd::Send(const std::string& text) const {
  [[maybe_unused]] const ssize_t sent =
      ::send(socket_.get(), text.data(), text.size(), MSG_NOSIGNAL);
}

}  // namespace zerocloud::operations
