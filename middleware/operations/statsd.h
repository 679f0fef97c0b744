// Statsd: numbers as they happen, one UDP datagram each, in the form that Swift sends:
//   <prefix>.zerocloud.<name>:<value>|<ms, c or g>[|@<rate>]
// A datagram that cannot be sent is lost; nobody waits. Thread-safe.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "channels/base/result.h"
#include "channels/base/unique_fd.h"

namespace zerocloud::operations {

struct StatsdOptions {
  std::string host = {};
  std::uint16_t port = 8125;
  std::string prefix = {};
  std::uint32_t sample_percent = 100;
};

class Statsd {
 public:
  // kInvalid: no address is known for the host. It is looked up once.
  static Result<std::unique_ptr<Statsd>> Open(const StatsdOptions& options);

  // Whether this event is one of those that are sent.
  [[nodiscard]] bool IsSampled() const;
  // Only for events that are sampled.
  void Timing(std::string_view name, std::chrono::microseconds duration) const;
  void Count(std::string_view name, std::uint64_t count) const;
  // How much there is now. Never sampled.
  void Gauge(std::string_view name, std::uint64_t value) const;

 private:
  Statsd(UniqueFd socket, const StatsdOptions& options);
  void Send(const std::string& text) const;

  const UniqueFd socket_;  // connected, non-blocking
  const std::string prefix_;
  const std::string rate_;  // "|@0.1", or empty
  const std::uint32_t sample_percent_;
};

}  // namespace zerocloud::operations
